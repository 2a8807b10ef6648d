import { Injectable, type PipeTransform } from '@nestjs/common';
import { checkFeedId } from '../message/feed-id.js';

/** Lets through what can name a feed (see `feedIdRule`), and answers 400 to everything else. */
@Injectable()
export class FeedIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    return checkFeedId(id);
  }
}
