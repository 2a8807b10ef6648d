import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { FeedService } from './feed/feed.service.js';

/** How many connections must have been opened for what they left behind to be worth a collection. */
const worthwhile = 1000;
/** How many quiet seconds end a ramp. */
const settledSeconds = 3;
/** The part of the open connections that may come new in a second which still counts as quiet. */
const quiet = 0.01;
/** How much larger than what it holds the heap may be before it is compacted. */
const loose = 1.3;

/**
 * Has V8 give memory back once a ramp of new connections has settled.
 *
 * What Nest and Express make for a request is garbage as soon as its socket was handed over. What of it V8 has moved to its old
 * generation by then stays until that has doubled, and its pages stay as long as a single live object is on each. A full
 * collection, one that compacts where the heap has come loose, makes less than 3 KB a connection of 7 to 9. It stops the process for
 * 50 to 90 ms at 10,000 connections, once after a ramp. It needs `--expose-gc`, which `npm start` sets.
 */
@Injectable()
export class HeapCollector {
  private openedBefore = 0;
  private openedAtCollection = 0;
  private quietSeconds = 0;
  private hasCollected = false;

  constructor(private readonly feeds: FeedService) {}

  /** Collects once after a ramp, and a second time only where the first shows that the heap has come loose. */
  @Interval(1000)
  look(): void {
    const { open, opened } = this.feeds;
    this.quietSeconds = opened - this.openedBefore > open * quiet ? 0 : this.quietSeconds + 1;
    this.openedBefore = opened;
    if (this.quietSeconds < settledSeconds) return;
    if (this.hasCollected) {
      this.hasCollected = false;
      if (isLoose()) compact();
    } else if (opened - this.openedAtCollection >= worthwhile) {
      this.openedAtCollection = opened;
      if (isLoose()) {
        compact();
      } else {
        this.hasCollected = true;
        globalThis.gc?.();
      }
    }
  }
}

function isLoose(): boolean {
  const { total_heap_size, used_heap_size } = getHeapStatistics();
  return total_heap_size > used_heap_size * loose;
}

/** Collects and compacts; for every collection, compacting would cost new connections 30 ms of their first byte's time. */
function compact(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  globalThis.gc?.();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
