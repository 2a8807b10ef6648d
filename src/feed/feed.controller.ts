import type { IncomingMessage } from 'node:http';
import { Controller, Param, Req, type Type } from '@nestjs/common';
import type { ObservableInput } from 'rxjs';
import { rawOf, targetOf } from './connection/platform.js';
import { Feed } from './feed.decorator.js';
import { FeedIdPipe } from './feed.id.pipe.js';
import type { FeedItem } from './feed.message.js';
import { FeedService } from './feed.service.js';

/** The module's own route: `GET <path>/:id` follows a feed. */
export class FeedController {
  constructor(readonly feeds: FeedService) {}

  @Feed(':id', { name: ({ params }) => params.id as string })
  follow(@Param('id', FeedIdPipe) id: string, @Req() request: IncomingMessage): ObservableInput<FeedItem> {
    return this.feeds.source({ id, url: targetOf(request), request: rawOf(request) });
  }
}

/** The controller for a path that is known when the module is imported. */
export function feedControllerAt(path: string): Type<FeedController> {
  @Controller(path)
  class FeedControllerAt extends FeedController {
    constructor(feeds: FeedService) {
      super(feeds);
    }
  }
  return FeedControllerAt;
}
