import fc from 'fast-check';

/** Feeds that many clients follow; `fast/` is conflated. */
export const commonFeeds = ['a', 'b', 'fast/a', 'fast/b'] as const;
/** Feeds that are followed on open connections. */
const furtherFeeds = [...commonFeeds, ...Array.from({ length: 10 }, (_, n) => `d${n}`)];
export const allFeeds: readonly string[] = furtherFeeds;

/** Whether a feed conflates. */
export const isConflated = (feed: string) => feed.startsWith('fast/');

export const clientCount = 4;

/** What happens to the system, one after the other. A step that does not fit (a client that is open is opened) does nothing. */
export type Step =
  | { do: 'open'; client: number; node: number; feeds: string[]; isHandedOver: boolean; hasSource: boolean }
  | { do: 'comeBack' | 'leave' | 'pause' | 'resume'; client: number; node: number }
  | { do: 'follow'; client: number; feeds: string[]; since: 'earliest' | 'latest' | undefined }
  | { do: 'unfollow'; client: number; feed: string }
  | { do: 'publish'; node: number; feed: string; count: number; bytes: number }
  | { do: 'clog'; client: number; node: number; feed: 'own' | 'fast/a' }
  | { do: 'end'; node: number; feed: string }
  | { do: 'endBehind'; node: number; feed: string }
  | { do: 'drain' | 'kill'; node: number }
  | { do: 'holdReads' | 'releaseReads' | 'failReads' | 'failFollows'; node: number }
  | { do: 'failPublish'; node: number; isStored: boolean }
  | { do: 'sever' | 'cut' | 'mend' | 'restartEngine'; node: number }
  | { do: 'wait'; turns: number };

const client = fc.nat(clientCount - 1);
const node = fc.nat(1);
const common = fc.constantFrom(...commonFeeds);
const of = <Name extends string>(...names: Name[]) => fc.constantFrom(...names);
const open = fc.record({
  do: of('open'),
  client,
  node,
  feeds: fc.uniqueArray(common, { maxLength: 3 }),
  isHandedOver: fc.boolean(),
  hasSource: fc.nat(3).map((n) => n === 0),
});
const follow = fc.record({
  do: of('follow'),
  client,
  feeds: fc.uniqueArray(fc.constantFrom(...furtherFeeds), { minLength: 1, maxLength: 10 }),
  since: fc.constantFrom('earliest' as const, 'latest' as const, undefined),
});
const publish = fc.record({ do: of('publish'), node, feed: common, count: fc.integer({ min: 1, max: 12 }), bytes: fc.nat(2000) });
/** More than the queue of a connection holds, in messages that are small. */
const burst = fc.record({ do: of('publish'), node, feed: common, count: fc.integer({ min: 300, max: 700 }), bytes: fc.nat(4) });

const weighted: [number, fc.Arbitrary<Step>][] = [
  [14, open],
  [8, fc.record({ do: of('comeBack'), client, node })],
  [3, fc.record({ do: of('leave'), client, node })],
  [5, fc.record({ do: of('pause'), client, node })],
  [4, fc.record({ do: of('resume'), client, node })],
  [8, follow],
  [4, fc.record({ do: of('unfollow'), client, feed: fc.constantFrom(...furtherFeeds) })],
  [18, publish],
  [6, burst],
  [6, fc.record({ do: of('clog'), client, node, feed: of('own', 'fast/a') })],
  [4, fc.record({ do: of('end'), node, feed: common })],
  [5, fc.record({ do: of('endBehind'), node, feed: common })],
  [1, fc.record({ do: of('drain', 'kill'), node })],
  [6, fc.record({ do: of('holdReads'), node })],
  [5, fc.record({ do: of('releaseReads'), node })],
  [2, fc.record({ do: of('failReads', 'failFollows'), node })],
  [2, fc.record({ do: of('failPublish'), node, isStored: fc.boolean() })],
  [2, fc.record({ do: of('sever', 'cut'), node })],
  [3, fc.record({ do: of('mend'), node })],
  [1, fc.record({ do: of('restartEngine'), node })],
  [6, fc.record({ do: of('wait'), turns: fc.integer({ min: 1, max: 20 }) })],
];

/** What happens in one run, and how the applications are set up. */
export interface Plan {
  /** The most messages stored of each feed: few, so that positions are lost, or more than there are. */
  readonly historyLength: number;
  readonly steps: Step[];
}

/** What goes wrong where several steps meet at one client, which single ones seldom do: a client that is full is written to, and then something ends or begins. */
const fragments = fc.tuple(open, follow, node).chain(([opened, followed, at]) => {
  const { client } = opened;
  const begin: Step[] = [
    { do: 'leave', client, node: at },
    { ...opened, feeds: ['fast/a', 'a'], hasSource: false },
    { do: 'wait', turns: 5 },
  ];
  const full: Step[] = [...begin, { do: 'clog', client, node: at, feed: 'fast/a' }];
  const isFed: Step = { ...opened, hasSource: true };
  const newest: Step = { do: 'publish', node: at, feed: 'fast/a', count: 2, bytes: 10 };
  return fc.constantFrom<Step[]>(
    [...full, newest, { do: 'end', node: opened.node, feed: 'fast/a' }],
    [{ do: 'leave', client, node: at }, isFed, { do: 'pause', client, node: at }, { do: 'wait', turns: 100 }, { ...followed, client }],
  );
});

export const plan: fc.Arbitrary<Plan> = fc.record({
  historyLength: fc.constantFrom(100_000, 100_000, 10),
  steps: fc
    .array(
      fc.oneof(
        { weight: 12, arbitrary: fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary }))).map((step) => [step]) },
        { weight: 1, arbitrary: fragments },
      ),
      { minLength: 10, maxLength: 50, size: 'max' },
    )
    .map((parts) => parts.flat()),
});
