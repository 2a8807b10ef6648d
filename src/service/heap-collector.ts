import { setFlagsFromString } from 'node:v8';
import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { FeedService } from '../feed/feed.service.js';

/** How many connections must have been opened for what they left behind to be worth a collection. */
const worthwhile = 1000;
/** How many quiet seconds end a ramp. */
const settledSeconds = 3;
/** The part of the open connections that may come in a second, or be refused, which still counts as quiet. */
const quiet = 0.01;
/**
 * By how much of what it holds the heap may grow until V8 collects, in per cent, while no ramp is on. By itself V8 lets it grow fourfold:
 * what Nest and Express leave of ordinary requests, such as those that publish, would take 100 MB more.
 */
const calmGrowth = 25;

/**
 * Has V8 give memory back once a ramp of new connections has settled.
 *
 * What Nest and Express make for a request is garbage as soon as its socket was handed over. What of it V8 has moved to its old
 * generation by then stays until that has doubled, and its pages stay as long as a single live object is on each. A full
 * collection that compacts makes less than 3 KB a connection of 7 to 9. It stops the process for 80 to 130 ms at 10,000 connections,
 * once after a ramp, and once those that came too many have been refused: they would wait for it. It needs `--expose-gc`, which `npm start` sets.
 */
@Injectable()
export class HeapCollector {
  private cameBefore = 0;
  private openedAtCollection = 0;
  private quietSeconds = 0;
  private growth = 0;

  constructor(private readonly feeds: FeedService) {}

  @Interval(1000)
  look(): void {
    const { open, opened, rejected } = this.feeds.status;
    const came = opened + rejected;
    this.quietSeconds = came - this.cameBefore > open * quiet ? 0 : this.quietSeconds + 1;
    this.cameBefore = came;
    const isSettled = this.quietSeconds >= settledSeconds;
    this.grow(isSettled ? calmGrowth : 0);
    if (!isSettled || opened - this.openedAtCollection < worthwhile) return;
    this.openedAtCollection = opened;
    compact();
  }

  /** Sets by how many per cent the heap may grow between collections; 0 leaves that to V8, since in a ramp each one delays first bytes. */
  private grow(percent: number): void {
    if (percent === this.growth || !globalThis.gc) return;
    this.growth = percent;
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  }
}

/** Collects and compacts: V8 by itself would rather not, and in a ramp it would cost new connections 30 ms of their first byte's time. */
function compact(): void {
  setFlagsFromString('--compact-on-every-full-gc');
  globalThis.gc?.();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
