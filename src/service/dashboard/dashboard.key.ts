import { createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type CanActivate, type ExecutionContext, HttpStatus, Injectable, UnauthorizedException } from '@nestjs/common';
import { Secret } from '../../feed/auth/secret.js';
import { type AnyRequest, rawOf } from '../../feed/http/adapter.js';
import { DashboardOptions } from './dashboard.options.js';
import type { Reply } from './exchange.js';

const cookieName = 'feed_dashboard';

/** The dashboard's key, and the cookie that stands for it. */
@Injectable()
export class DashboardKey {
  private readonly key: Secret | undefined;
  /** Derived from the key, so that every worker accepts it, and it does not reveal the key. */
  private readonly cookieValue: string;
  private readonly cookie: Secret;

  constructor({ key }: DashboardOptions) {
    this.key = key === undefined ? undefined : new Secret(key);
    this.cookieValue = createHmac('sha256', key ?? '')
      .update('nestjs-feed dashboard')
      .digest('base64url');
    this.cookie = new Secret(this.cookieValue);
  }

  matches(key: string): boolean {
    return this.key?.matches(key) ?? false;
  }

  /** Whether the request may see the dashboard: no key is set, or the request has it as a bearer token or has its cookie. */
  allows({ headers }: IncomingMessage): boolean {
    if (!this.key) return true;
    const bearer = /^bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
    if (bearer !== undefined) return this.matches(bearer);
    const cookies = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
    return cookies.some((pair) => pair.startsWith(`${cookieName}=`) && this.cookie.matches(pair.slice(cookieName.length + 1)));
  }

  /** The `Set-Cookie` after the key was given. It has no `Path`, so that it also applies behind a proxy that serves the dashboard elsewhere. */
  setCookie({ headers, socket }: IncomingMessage): string {
    const isSecure = (socket as Partial<TLSSocket>).encrypted === true || headers['x-forwarded-proto'] === 'https';
    return `${cookieName}=${this.cookieValue}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  }
}

/** Rejects requests without the dashboard's key. */
@Injectable()
export class DashboardGuard implements CanActivate {
  constructor(private readonly key: DashboardKey) {}

  /** @throws UnauthorizedException (401, with `WWW-Authenticate`) */
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    if (this.key.allows(rawOf(http.getRequest<AnyRequest>()))) return true;
    http.getResponse<Reply>().header('WWW-Authenticate', 'Bearer realm="dashboard"');
    throw new UnauthorizedException({
      statusCode: HttpStatus.UNAUTHORIZED,
      error: 'Unauthorized',
      code: 'DASHBOARD_KEY',
      message: 'The dashboard needs its key: send it as Authorization: Bearer, or enter it at /dashboard.',
    });
  }
}
