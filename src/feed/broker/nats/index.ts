export type { NatsBrokerOptions, NatsClientOptions } from './nats.options.js';
export { natsBroker } from './nats-broker.js';
