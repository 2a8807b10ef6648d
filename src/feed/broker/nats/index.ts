export { natsBroker } from './nats.broker.js';
export type { NatsBrokerOptions } from './nats.options.js';
