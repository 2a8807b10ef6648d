import { Injectable, type PipeTransform } from '@nestjs/common';
import { checkFeedId } from '../message/feed-id.js';

/** Accepts the id of a feed, and answers 400 to everything else. */
@Injectable()
export class FeedIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    return checkFeedId(id);
  }
}
