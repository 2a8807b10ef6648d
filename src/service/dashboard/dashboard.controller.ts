import { Controller, Get, Header, HttpStatus, NotFoundException, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { Feed } from '../../feed/feed.decorator.js';
import { type AnyRequest, rawOf } from '../../feed/http/adapter.js';
import { splitTarget } from '../../feed/http/target.js';
import { challenge, DashboardGuard, DashboardKey } from './dashboard.key.js';
import { DashboardOptions } from './dashboard.options.js';
import { type DashboardNumbers, DashboardService } from './dashboard.service.js';
import { DashboardFiles } from './dashboard-files.js';
import { type Reply, readForm } from './exchange.js';

/** The query of the form after a wrong key. */
const wrong = 'wrong';

/** The dashboard's page, its files and its numbers. */
@Controller('dashboard')
export class DashboardController {
  private readonly page: string;

  constructor(
    private readonly numbers: DashboardService,
    private readonly files: DashboardFiles,
    private readonly key: DashboardKey,
    private readonly options: DashboardOptions,
  ) {
    const { feedPath, needsToken } = options;
    this.page = files.page.replace('data-feeds=""', `data-feeds="${feedPath}"`).replace('data-token=""', `data-token="${needsToken}"`);
  }

  /** The dashboard, or the form for its key. Their links are relative to `/dashboard`, so a trailing slash is redirected. */
  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  get(@Req() request: AnyRequest, @Res({ passthrough: true }) reply: Reply): string {
    const raw = rawOf(request);
    const [path, query] = splitTarget(raw.url ?? '');
    if (path.endsWith('/')) return redirect(reply, HttpStatus.PERMANENT_REDIRECT);
    if (this.key.allows(raw)) return this.page;
    reply.status(HttpStatus.UNAUTHORIZED);
    reply.header('WWW-Authenticate', challenge);
    return this.files.form.replace('<!-- message -->', query === wrong ? 'The key is wrong.' : '');
  }

  /** A page for operators. Its links are relative to its path; what it shows needs the admin key, which it asks for. */
  @Get(['connections', 'feeds', 'nodes'])
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Cache-Control', 'no-store')
  operators(@Req() request: AnyRequest, @Res({ passthrough: true }) reply: Reply): string {
    const raw = rawOf(request);
    const [path] = splitTarget(raw.url ?? '');
    const [, name = ''] = /([^/]*)\/?$/.exec(path) ?? [];
    if (path.endsWith('/')) return redirect(reply, HttpStatus.PERMANENT_REDIRECT, '', `../${name}`);
    if (!this.key.allows(raw)) return redirect(reply, HttpStatus.SEE_OTHER);
    return (this.files.operatorPage(name) as string).replace('data-admin=""', `data-admin="${this.options.hasAdmin}"`);
  }

  /** Redirects to the dashboard, and sets its cookie if the key is right. */
  @Post('key')
  async open(@Req() request: AnyRequest, @Res({ passthrough: true }) reply: Reply): Promise<string> {
    const key = (await readForm(request, reply)).get('key') ?? '';
    if (!this.key.matches(key)) return redirect(reply, HttpStatus.SEE_OTHER, `?${wrong}`);
    reply.header('Set-Cookie', this.key.setCookie(rawOf(request)));
    return redirect(reply, HttpStatus.SEE_OTHER);
  }

  /** The current numbers, for a page that cannot follow the feed. */
  @Get('now')
  @UseGuards(DashboardGuard)
  @Header('Cache-Control', 'no-store')
  now(): Promise<DashboardNumbers> {
    return this.numbers.now();
  }

  /** The numbers, each second. The feed has no id, so that nothing can be published to it. */
  @Feed('feed', { feed: () => [] })
  @UseGuards(DashboardGuard)
  feed(): Observable<DashboardNumbers> {
    return this.numbers.numbers$;
  }

  /** @throws NotFoundException (404) */
  @Get(['files/:name', 'files/:folder/:name', 'files/:folder/:inner/:name'])
  @Header('Cache-Control', 'no-cache')
  file(@Param() { folder, inner, name }: Record<string, string>, @Res({ passthrough: true }) reply: Reply): string {
    const file = this.files.get([folder, inner, name].filter(Boolean).join('/'));
    if (!file) throw new NotFoundException();
    reply.header('Content-Type', file.type);
    return file.text;
  }
}

/** Redirects to the dashboard from a path below it. */
function redirect(reply: Reply, status: HttpStatus, query = '', path = '../dashboard'): string {
  reply.status(status);
  reply.header('Location', `${path}${query}`);
  return '';
}
