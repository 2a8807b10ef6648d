export { natsBroker } from './nats.broker.js';
export { type NatsBrokerOptions, NatsOptionsError } from './nats.options.js';
