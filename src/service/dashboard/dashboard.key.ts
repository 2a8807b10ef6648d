import { createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { bearerIn, cookiesIn } from '../../feed/auth/credentials.js';
import { Secret } from '../../feed/auth/secret.js';
import { FeedException } from '../../feed/errors/feed-exception.js';
import { type AnyRequest, rawOf } from '../../feed/http/adapter.js';
import { withErrorHead } from '../../feed/http/head.js';
import { DashboardOptions } from './dashboard.options.js';

const cookieName = 'feed_dashboard';

/** What `WWW-Authenticate` asks for (RFC 6750 section 3). */
export const challenge = 'Bearer realm="dashboard"';

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
    const bearer = bearerIn(headers);
    if (bearer !== undefined) return this.matches(bearer);
    return cookiesIn(headers, cookieName).some((value) => this.cookie.matches(value));
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

  /** @throws FeedException DASHBOARD_KEY (401, with `WWW-Authenticate`) */
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    if (this.key.allows(rawOf(http.getRequest<AnyRequest>()))) return true;
    throw withErrorHead(new FeedException('DASHBOARD_KEY', { challenge }), http.getResponse());
  }
}
