import { Test } from '@nestjs/testing';
import { ClsModule } from 'nestjs-cls';
import { FeedModule, FeedService } from 'nestjs-feed';
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
