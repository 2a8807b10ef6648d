// What a page of the React tests runs: bundled, with the real React in strict mode.
import type * as React from 'react';
import { Activity, createElement as h, type ReactElement, StrictMode, useEffect, useLayoutEffect, useRef } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { createFeedClient, type FeedClient, type FeedClientOptions } from '../../src/client/index.js';
import { FeedProvider, useFeed, useFeedClient, useFeedMessages, useFeedStatus } from '../../src/react/index.js';

/** A component that is to be shown. */
export interface Part {
  readonly id: string;
  readonly kind: 'newest' | 'log' | 'listener' | 'observer' | 'status' | 'publisher';
  readonly feeds?: string | readonly string[] | null;
  readonly since?: string;
  readonly isHidden?: boolean;
}

/** What the page has seen of its components. */
export const seen = {
  /** How often each was committed, by id. */
  commits: {} as Record<string, number>,
  heard: {} as Record<string, unknown[]>,
  statuses: [] as string[],
  errors: [] as string[],
  frames: 0,
};

const output = (id: string, value: unknown) =>
  h(
    'output',
    { id },
    JSON.stringify(value, (_, part) => (part instanceof Error ? part.message : part)),
  );

function useCommits(id: string): void {
  const isSecond = useRef(false);
  useLayoutEffect(() => {
    if (isSecond.current) seen.commits[id] = (seen.commits[id] ?? 0) + 1;
    isSecond.current = true;
  });
}

function Newest({ id, feeds, since }: Part): ReactElement {
  useCommits(id);
  return output(id, useFeed(feeds, { since }));
}

function Log({ id, feeds, since }: Part): ReactElement {
  useCommits(id);
  const reduce = (all: unknown[], message: { type?: string; data: unknown }) => [...all, message.type === 'end' ? 'end' : message.data];
  return output(id, useFeed(feeds, { since, reduce, initial: [] as unknown[] }));
}

function Listener({ id, feeds, since }: Part): ReactElement {
  seen.heard[id] ??= [];
  useFeedMessages(feeds, ({ data }) => seen.heard[id]?.push(data), { since });
  return output(id, null);
}

function Observing({ id, feeds, since }: Part): ReactElement {
  const heard = seen.heard[id] ?? [];
  seen.heard[id] = heard;
  const note = (what: unknown) => heard.push(what);
  useFeedMessages(feeds, { next: ({ data }) => note(data), error: () => note('failed'), complete: () => note('complete') }, { since });
  return output(id, null);
}

function Status({ id }: Part): ReactElement {
  const status = useFeedStatus();
  useEffect(() => {
    seen.statuses.push(status.state);
  }, [status]);
  return output(id, status);
}

function Publisher({ id }: Part): ReactElement {
  const client = useFeedClient();
  return h('button', { id, type: 'button', onClick: () => client.publish('said', 'clicked') }, 'Publish');
}

const kinds = { newest: Newest, log: Log, listener: Listener, observer: Observing, status: Status, publisher: Publisher };

/** What a page shows; on a server as well. */
export function App({
  parts,
  client,
  options,
}: {
  parts: readonly Part[];
  client?: FeedClient;
  options?: FeedClientOptions;
}): ReactElement {
  const shown = parts.map((part) => {
    const element = h(kinds[part.kind], { ...part, key: part.id });
    const props = { key: part.id, mode: part.isHidden ? 'hidden' : 'visible' } as Omit<
      React.ActivityProps,
      'children'
    > as React.ActivityProps;
    return Activity ? h(Activity, props, element) : element; // React 18 has none
  });
  const props = client ? { client } : { options: options as FeedClientOptions };
  return h(StrictMode, null, h(FeedProvider, props, ...shown));
}

let root: Root | undefined;
const container = () => (globalThis as unknown as { document: { getElementById(id: string): Element } }).document.getElementById('root');
const handlers = { onUncaughtError: note, onRecoverableError: note };

function note(error: unknown): void {
  seen.errors.push(String(error));
}

export const show = (parts: Part[], options: FeedClientOptions) => {
  root ??= createRoot(container(), handlers);
  root.render(h(App, { parts, options }));
};

/** Shows components on a client of the page's own. */
export let client: FeedClient | undefined;
export const showWithClient = (parts: Part[], options: FeedClientOptions) => {
  client ??= createFeedClient(options);
  root ??= createRoot(container(), handlers);
  root.render(h(App, { parts, client }));
};

export const hydrate = (parts: Part[], options: FeedClientOptions) => {
  root = hydrateRoot(container(), h(App, { parts, options }), handlers);
};

export const unmount = () => {
  root?.unmount();
  root = undefined;
};

export const countFrames = () => {
  const { requestAnimationFrame } = globalThis as unknown as { requestAnimationFrame(callback: () => void): void };
  const count = () => {
    seen.frames += 1;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
};
