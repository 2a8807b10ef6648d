import { setFlagsFromString } from 'node:v8';
import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { FeedService } from '../feed/feed.service.js';

/** How many connections must have been opened since the last collection for another one to be worthwhile. */
const minOpened = 1000;
/** How many quiet seconds end a ramp. */
const settledSeconds = 3;
/** A second is quiet if the requests for feeds in it, opened and rejected, are at most this part of the open connections. */
const quietShare = 0.01;
/**
 * How far the heap may grow between collections outside a ramp, in per cent. V8's default is fourfold: the garbage of ordinary requests in
 * Nest and Express, such as those that publish, would take 100 MB more.
 */
const settledGrowth = 25;

/**
 * Has V8 free memory once a ramp of new connections has settled.
 *
 * The objects that Nest and Express create for a request are garbage once its socket has been handed over. Those that V8 has promoted to its
 * old generation stay until that has doubled, and a page stays as long as it holds one live object. A full, compacting collection reduces
 * 7 to 9 KB a connection to less than 3. It pauses the process for 80 to 130 ms at 10,000 connections, once after a ramp, and not while
 * requests beyond the limit are still being rejected, which would wait for it. It needs `--expose-gc`, which `npm start` sets.
 */
@Injectable()
export class HeapCollector {
  private lastRequests = 0;
  private openedAtCollection = 0;
  private quietSeconds = 0;
  private growth = 0;

  constructor(private readonly feeds: FeedService) {}

  @Interval(1000)
  check(): void {
    const { open, opened, rejected } = this.feeds.status;
    const requests = opened + rejected;
    this.quietSeconds = requests - this.lastRequests > open * quietShare ? 0 : this.quietSeconds + 1;
    this.lastRequests = requests;
    const isSettled = this.quietSeconds >= settledSeconds;
    this.setGrowth(isSettled ? settledGrowth : 0);
    if (!isSettled || opened - this.openedAtCollection < minOpened) return;
    this.openedAtCollection = opened;
    compact();
  }

  /** Sets how far the heap may grow between collections, in per cent. 0: V8's default, since each collection in a ramp delays first bytes. */
  private setGrowth(percent: number): void {
    if (percent === this.growth || !globalThis.gc) return;
    this.growth = percent;
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  }
}

/** Collects and compacts. V8 rarely compacts by itself, and compacting in a ramp would delay first bytes by 30 ms. */
function compact(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  globalThis.gc?.();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
