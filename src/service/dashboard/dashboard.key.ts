import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { DashboardKeyException } from './dashboard.errors.js';
import { DashboardOptions } from './dashboard.options.js';
import { type AnyRequest, type Reply, rawOf } from './exchange.js';

const name = 'feed_dashboard';

/** Knows who has the dashboard's key. */
@Injectable()
export class DashboardKey {
  private readonly key: string | undefined;
  /** Follows from the key, so that every worker knows it, and does not tell the key. */
  private readonly pass: string;

  constructor({ key }: DashboardOptions) {
    this.key = key;
    this.pass = key === undefined ? '' : createHmac('sha256', key).update('nestjs-feed dashboard').digest('base64url');
  }

  isRight(key: string): boolean {
    return this.key !== undefined && isSame(key, this.key);
  }

  /** Whether the request may see the dashboard: there is no key, or it has it in `Authorization: Bearer`, or its cookie. */
  admits({ headers }: IncomingMessage): boolean {
    if (this.key === undefined) return true;
    const bearer = /^bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
    if (bearer !== undefined) return this.isRight(bearer);
    const cookies = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
    return cookies.some((pair) => pair.startsWith(`${name}=`) && isSame(pair.slice(name.length + 1), this.pass));
  }

  /**
   * The `Set-Cookie` for whoever gave the key. Without a path it holds for the folder of the form's target, and so behind a proxy that has
   * the dashboard elsewhere, too.
   */
  cookieFor({ headers, socket }: IncomingMessage): string {
    const isSecure = (socket as Partial<TLSSocket>).encrypted === true || headers['x-forwarded-proto'] === 'https';
    return `${name}=${this.pass}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  }
}

/** Lets those pass who have the dashboard's key. */
@Injectable()
export class DashboardGuard implements CanActivate {
  constructor(private readonly key: DashboardKey) {}

  /** @throws DashboardKeyException (401, with `WWW-Authenticate`) */
  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    if (this.key.admits(rawOf(http.getRequest<AnyRequest>()))) return true;
    http.getResponse<Reply>().header('WWW-Authenticate', 'Bearer realm="dashboard"');
    throw new DashboardKeyException();
  }
}

/** Digests are of one length, so that the time of the comparison tells nothing. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
