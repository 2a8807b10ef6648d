import { type ExecutionContext, Injectable } from '@nestjs/common';
import { FeedAuthGuard } from '../feed/auth/feed-auth.guard.js';
import { checkMayRead } from '../feed/auth/grant.js';
import { FeedRequest } from '../feed/http/feed-request.js';
import { withErrorHead } from '../feed/http/head.js';
import { checkFeedId } from '../feed/message/feed-id.js';

/** Guards the counts of single feeds as reading them: how many follow a feed is a part of what it tells. All other counts are open. */
@Injectable()
export class FeedCountGuard extends FeedAuthGuard {
  /** @throws FeedException FEED_ID (400), and what `FeedAuthGuard` and reading the feed fail with */
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = FeedRequest.of(context.switchToHttp().getRequest());
    const ids = request.query.getAll('id').map(checkFeedId);
    if (ids.length === 0) return true;
    await super.canActivate(context);
    try {
      checkMayRead(request, ids);
      return true;
    } catch (error) {
      throw withErrorHead(error, context.switchToHttp().getResponse());
    }
  }

  protected override checksFeeds(): boolean {
    return true;
  }
}
