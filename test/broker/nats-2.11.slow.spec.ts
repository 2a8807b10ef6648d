import { onlyNats211 } from '../support/brokers.js';

// What every broker is put to, on a server that gives messages a time to live of their own.
onlyNats211();
for (const suite of [
  'close',
  'contract',
  'ends',
  'history',
  'leases',
  'messages',
  'nodes',
  'remembered',
  'runs',
  'shared-feeds',
  'starts',
  'strangers',
]) {
  await import(`./${suite}.spec.js`);
}
