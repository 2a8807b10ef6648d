import type { IncomingMessage } from 'node:http';
import { Controller, Param, Req } from '@nestjs/common';
import type { ObservableInput } from 'rxjs';
import { Feed } from './feed.decorator.js';
import { FeedIdPipe } from './feed.id.pipe.js';
import type { FeedItem } from './feed.message.js';
import { FeedService, rawOf, targetOf } from './feed.service.js';

/** The module's own route: `GET <path>/:id` follows a feed. */
@Controller()
export class FeedController {
  constructor(private readonly feeds: FeedService) {}

  @Feed(':id', { name: ({ params }) => params.id as string })
  follow(@Param('id', FeedIdPipe) id: string, @Req() request: IncomingMessage): ObservableInput<FeedItem> {
    return this.feeds.source({ id, url: targetOf(request), request: rawOf(request) });
  }
}
