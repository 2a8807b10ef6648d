export { natsBroker } from './nats.broker.js';
export type { NatsBrokerOptions, NatsClientOptions } from './nats.options.js';
