import { Test } from '@nestjs/testing';
import { ClsModule } from 'nestjs-cls';
import { Broker, FeedModule, FeedService } from 'nestjs-feed';
import { expectMessages, FeedRecorder } from 'nestjs-feed/testing';
import { firstValueFrom } from 'rxjs';
import { OrdersController } from './orders.controller.js';

describe('OrdersController', () => {
  it('publishes a change with the module', async () => {
    const module = await Test.createTestingModule({
      imports: [FeedModule.forRoot(), ClsModule.forRoot({ global: true })],
      controllers: [OrdersController],
    }).compile();
    const message = firstValueFrom(module.get(FeedService).messages('orders/7'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await module.get(OrdersController).change('7', { status: 'sent' })).toMatchObject({ status: 'sent' });
    expect(await message).toMatchObject({ feed: 'orders/7', data: { status: 'sent' } });
    await module.close();
  });

  it('publishes what a recorder has, in the place of a broker', async () => {
    const recorder = new FeedRecorder();
    const module = await Test.createTestingModule({
      imports: [FeedModule.forRoot({ broker: () => Promise.reject(new Error('out of reach')) }), ClsModule.forRoot({ global: true })],
      controllers: [OrdersController],
    })
      .overrideProvider(Broker)
      .useFactory({ factory: recorder.broker })
      .compile();
    const controller = module.get(OrdersController);
    await controller.change('7', { status: 'sent' });
    await controller.place('8');
    await expectMessages(recorder.feed('orders/7'), [{ status: 'sent', request: 'undefined' }]); // there is none
    expect(recorder.messages()).toMatchObject([{ feed: 'orders/7' }, { feed: 'orders/8', data: { id: '8' } }]);
    await expect(expectMessages(recorder.feed('orders/8'), [{ id: '9' }])).rejects.toThrow(/1 of 1 expected messages came[\s\S]*id: '9'/);
    await expect(recorder.next('orders/9', { timeoutMs: 10 })).rejects.toThrow(/"orders\/9": no message within 10 ms/);
    await module.close();
  });

  it('is tested alone, with a double of the service', async () => {
    const published: unknown[] = [];
    const feeds = {
      publish: async (feed: string, data: unknown) => {
        published.push(feed);
        return { feed, data };
      },
    };
    const controller = new OrdersController(feeds as never, { getId: () => 'request' } as never);
    expect(await controller.change('7', { status: 'sent' })).toEqual({ status: 'sent', request: 'string' });
    expect(published).toEqual(['orders/7']);
    expect(await firstValueFrom(controller.states('7'))).toMatchObject({ id: '7' });
  });
});
