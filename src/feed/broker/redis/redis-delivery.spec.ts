import { RedisDelivery } from './redis-delivery.js';

it('counts what Redis acknowledges during a catch-up as received, so that its loss is noticed', () => {
  const delivery = new RedisDelivery(() => {});
  delivery.add('a', { next: () => {}, lost: () => {} });
  delivery.adopt({ epoch: 'one', offset: 5, isKnown: false, kept: 0 });
  delivery.begin(delivery.all(), { epoch: 'one', offset: 5, isKnown: true, kept: 5 });
  delivery.goLive(delivery.all(), 5);
  delivery.stop();
  delivery.adopt({ epoch: 'two', offset: 5, isKnown: true, kept: 5 });
  delivery.note({ epoch: 'two', offset: 9 });
  expect(delivery.received).toEqual({ epoch: 'two', offset: 9 });
});
