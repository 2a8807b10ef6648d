import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { FeedForbiddenException, FeedUnauthorizedException } from '../errors/access.errors.js';
import { FeedUnavailableException } from '../errors/feed.errors.js';
import { FEED_OPTIONS } from '../feed.module-definition.js';
import { type AnyRequest, type AnyResponse, rawOf, targetOf } from '../http/adapter.js';
import type { ResolvedAuthOptions } from './auth.options.js';
import { type Credential, credentialOf } from './credentials.js';
import { isCrossSite } from './cross-site.js';
import { Grant } from './grant.js';
import { grant } from './request-grant.js';
import { TokenVerifier } from './token-verifier.js';

/**
 * Finds out what a request may do, and notes it: `assertMayRead()` and `assertMayPublish()` then decide about the ids.
 * `GET` and `HEAD` read, every other method publishes. Without a key for tokens in the options anyone may read.
 */
@Injectable()
export class FeedAuthGuard implements CanActivate {
  private readonly verifier: TokenVerifier | undefined;
  private readonly publishKey: Buffer | undefined;
  private readonly tokenCookie: string;

  constructor(@Inject(FEED_OPTIONS) options: ResolvedAuthOptions) {
    this.verifier = TokenVerifier.of(options);
    this.publishKey = options.publishKey === undefined ? undefined : digest(options.publishKey);
    this.tokenCookie = options.tokenCookie;
  }

  /**
   * @returns true
   * @throws FeedUnauthorizedException (401, with `WWW-Authenticate`) without a key or a token, and with a wrong one
   * @throws FeedForbiddenException (403) when another site's page has the browser publish with the token in its cookie
   * @throws FeedUnavailableException (503, with `Retry-After`) when the keys for tokens cannot be had
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<AnyRequest>();
    const response = rawOf(http.getResponse<AnyResponse>());
    try {
      const granted = await this.authenticate(rawOf(request), targetOf(request));
      if (granted) grant(request, granted);
      return true;
    } catch (error) {
      if (error instanceof FeedUnauthorizedException) response.setHeader('WWW-Authenticate', error.challenge);
      if (error instanceof FeedUnavailableException) response.setHeader('Retry-After', error.retryAfter);
      throw error;
    }
  }

  private async authenticate(request: IncomingMessage, target: string): Promise<Grant | undefined> {
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (reads && !this.verifier) return undefined;
    const credential = credentialOf(request, target, this.tokenCookie);
    if (credential && this.isPublishKey(credential)) return Grant.everything;
    if (!credential || !this.verifier) {
      const needs = reads ? 'Reading needs a token.' : 'Publishing needs the publish key or a token.';
      throw new FeedUnauthorizedException(needs, credential && 'invalid_token');
    }
    if (!reads && credential.from === 'cookie' && isCrossSite(request)) {
      throw new FeedForbiddenException("A page of another site cannot publish with this site's cookie.");
    }
    return this.verifier.verify(credential.token);
  }

  /** The key counts in the header only: it opens everything and does not expire, which is too much for a URL or a cookie. */
  private isPublishKey({ token, from }: Credential): boolean {
    return from === 'header' && this.publishKey !== undefined && timingSafeEqual(digest(token), this.publishKey);
  }
}

/** Of one length whatever it is of, so that the time of a comparison tells nothing of the key. */
function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
