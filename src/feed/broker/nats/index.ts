export { natsBroker } from './nats.broker.js';
export { type NatsBrokerOptions, type NatsClientOptions, NatsOptionsError } from './nats.options.js';
