import { type CanActivate, Controller, type ExecutionContext, Injectable, Query, UseGuards, ValidationPipe } from '@nestjs/common';
import { IsOptional, IsString } from 'class-validator';
import { of } from 'rxjs';
import { Feed, FeedAuthGuard } from '../../src/index.js';
import { closeAll, follow, platforms, type Served, serveFeeds } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

class OrderQuery {
  @IsOptional()
  @IsString()
  note?: string;
}

const seen: unknown[] = [];

@Injectable()
class SeeingGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    seen.push({ ...context.switchToHttp().getRequest().query });
    return true;
  }
}

@Controller('orders')
class OrdersController {
  @UseGuards(SeeingGuard)
  @Feed('noted')
  noted(@Query() query: OrderQuery) {
    return of({ ...query });
  }

  @Feed('published')
  @UseGuards(FeedAuthGuard)
  published(@Query() _query: OrderQuery) {}

  @Feed('resumed')
  resumed(@Query('since') since: string) {
    return of(since);
  }
}
describe.each(platforms)("the feed's own query parameters on %s", (platform) => {
  let served: Served;

  beforeAll(async () => {
    const pipe = new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true });
    served = await serveFeeds(platform, { path: undefined, jwtSecret }, { controllers: [OrdersController] }, (app) =>
      app.useGlobalPipes(pipe),
    );
  });
  afterAll(closeAll);

  it('do not reach a DTO that forbids what it does not know; others are still refused', async () => {
    const answer = await fetch(`${served.url}/orders/noted?note=n&format=ndjson&since=earliest&marks=1&token=t`);
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('{"note":"n"}')]);
    expect((await fetch(`${served.url}/orders/noted?other=1&format=ndjson`)).status).toBe(400);
  });

  it('are there for guards', () => {
    expect(seen[0]).toEqual({ note: 'n', format: 'ndjson', since: 'earliest', marks: '1', token: 't' });
    seen.length = 0;
  });

  it('still work', async () => {
    await served.feeds.publish('orders/published', 'before');
    const token = await sign({ feeds: ['orders/*'] });
    const peer = await follow(served, `/orders/published?since=earliest&format=ndjson&token=${token}`);
    await peer.sees('"data":"before"');
    expect(peer.head).toContain('application/x-ndjson');
  });

  it('reach a handler that asks for them by name', async () => {
    expect(await (await fetch(`${served.url}/orders/resumed?since=7`)).text()).toBe('7\n');
  });
});
