import { Injectable, type PipeTransform } from '@nestjs/common';
import { FeedIdException } from './feed.errors.js';

/** Lets through what can name a feed (see `feedIdRule`), and answers 400 to everything else. */
@Injectable()
export class FeedIdPipe implements PipeTransform<string, string> {
  transform(id: string): string {
    if (!/^[A-Za-z0-9._~:@-]{1,200}$/.test(id)) throw new FeedIdException();
    return id;
  }
}
