import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import { HealthModule } from '../../src/health/index.js';
import { MetricsModule } from '../../src/metrics/index.js';
import { closeAll, platforms, publishKey, serveFeeds } from '../support/serve.js';

const Public = () => SetMetadata('isPublic', true);

/** As Nest's documentation has it. */
@Injectable()
class JwtGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.getAllAndOverride('isPublic', [context.getHandler(), context.getClass()])) return true;
    return context.switchToHttp().getRequest().headers.authorization === 'Bearer of the application';
  }
}

const providers = [{ provide: APP_GUARD, useClass: JwtGuard }];

describe.each(platforms)('under a global guard on %s', (platform) => {
  afterEach(closeAll);

  it('the built-in routes are open if their controllers have the decorator that the guard looks for', async () => {
    const decorators = [Public()];
    const imports = [HealthModule.forRoot({ decorators }), MetricsModule.forRoot({ decorators })];
    const { url } = await serveFeeds(platform, { publishKey, decorators }, { imports, providers });
    for (const path of ['/health', '/health/live', '/health/ready', '/health/connections', '/metrics']) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    }
    expect((await fetch(`${url}/feeds/a`, { method: 'HEAD' })).status).toBe(200);
  });

  it('they are closed without it, also beside an application that opened its own', async () => {
    const { url } = await serveFeeds(platform, { publishKey }, { imports: [HealthModule.forRoot(), MetricsModule], providers });
    for (const path of ['/health/live', '/metrics', '/feeds/a']) expect([path, (await fetch(url + path)).status]).toEqual([path, 403]);
  });

  it('the publish key may come beside what the guard wants in Authorization', async () => {
    const { url } = await serveFeeds(platform, { publishKey }, { providers });
    const publish = (key: string) => {
      const headers = { authorization: 'Bearer of the application', 'x-feed-key': key, 'content-type': 'text/plain' };
      return fetch(`${url}/feeds/a`, { method: 'POST', headers, body: 'hello' });
    };
    expect((await publish(publishKey)).status).toBe(201);
    expect((await publish(`${publishKey}x`)).status).toBe(401);
  });
});
