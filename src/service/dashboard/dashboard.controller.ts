import { Controller, Get, Header, HttpStatus, NotFoundException, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Feed } from '../../feed/feed.decorator.js';
import { DashboardFiles } from './dashboard.files.js';
import { DashboardGuard, DashboardKey } from './dashboard.key.js';
import { DashboardOptions } from './dashboard.options.js';
import { type DashboardNumbers, DashboardService } from './dashboard.service.js';
import { type AnyRequest, formOf, type Reply, rawOf } from './exchange.js';

/** The query with which the form says that a key was wrong. */
const wrong = 'wrong';

/** The page, what it is made of, and its numbers. */
@Controller('dashboard')
export class DashboardController {
  private readonly page: string;

  constructor(
    private readonly numbers: DashboardService,
    private readonly files: DashboardFiles,
    private readonly key: DashboardKey,
    { feedPath, needsToken }: DashboardOptions,
  ) {
    const path = feedPath.replace(/^\/|\/$/g, '');
    this.page = files.page.replace('data-feeds=""', `data-feeds="${path}"`).replace('data-token=""', `data-token="${needsToken}"`);
  }

  /** The dashboard, or the form that asks for its key. What they name is beside `/dashboard`, so a slash behind it is taken off. */
  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  get(@Req() request: AnyRequest, @Res({ passthrough: true }) reply: Reply): string {
    const raw = rawOf(request);
    const [path, query] = (raw.url ?? '').split('?');
    if (path?.endsWith('/')) return redirect(reply, HttpStatus.PERMANENT_REDIRECT);
    if (this.key.admits(raw)) return this.page;
    reply.status(HttpStatus.UNAUTHORIZED);
    reply.header('WWW-Authenticate', 'Bearer realm="dashboard"');
    return this.files.form.replace('<!-- message -->', query === wrong ? 'That is not the key.' : '');
  }

  /** Leads back to the dashboard, with the cookie that opens it where the key is right. */
  @Post('key')
  async open(@Req() request: AnyRequest, @Res({ passthrough: true }) reply: Reply): Promise<string> {
    const key = (await formOf(request)).get('key') ?? '';
    if (!this.key.isRight(key)) return redirect(reply, HttpStatus.SEE_OTHER, `?${wrong}`);
    reply.header('Set-Cookie', this.key.cookieFor(rawOf(request)));
    return redirect(reply, HttpStatus.SEE_OTHER);
  }

  /** The numbers as they are now, for a page that cannot have the feed. */
  @Get('now')
  @UseGuards(DashboardGuard)
  @Header('Cache-Control', 'no-store')
  now(): Promise<DashboardNumbers> {
    return this.numbers.now();
  }

  /** The numbers, each second. It is no feed that anybody could publish to. */
  @Feed('feed', { feed: () => [] })
  @UseGuards(DashboardGuard)
  feed(): Observable<DashboardNumbers> {
    return this.numbers.numbers$;
  }

  /** @throws NotFoundException (404) */
  @Get('files/:name')
  @Header('Cache-Control', 'no-cache')
  file(@Param('name') name: string, @Res({ passthrough: true }) reply: Reply): string {
    const file = this.files.get(name);
    if (!file) throw new NotFoundException();
    reply.header('Content-Type', file.type);
    return file.text;
  }
}

/** To the dashboard, from beneath it. */
function redirect(reply: Reply, status: HttpStatus, query = ''): string {
  reply.status(status);
  reply.header('Location', `../dashboard${query}`);
  return '';
}
