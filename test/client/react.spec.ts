import { createElement, type ReactElement } from 'react';
import { renderToString } from 'react-dom/server';
import { createFeedClient } from '../../src/client/index.js';
import { FeedProvider, useFeed, useFeedClient, useFeedMessages, useFeedStatus } from '../../src/react/index.js';

/** Renders, as a server does, what hooks return. */
const render = (hook: () => unknown, wrap: (child: ReactElement) => ReactElement = provide) => {
  const Component = () => createElement('i', null, JSON.stringify(hook()));
  return renderToString(wrap(createElement(Component))).replaceAll('&quot;', '"');
};
// A URL that is relative to a page: a server has none.
const provide = (child: ReactElement) => createElement(FeedProvider, { options: { url: '/feeds' } }, child);

describe('nestjs-feed/react on a server', () => {
  it('renders the initial state, and follows nothing', () => {
    let requests = 0;
    const request = () => {
      requests += 1;
      return Promise.reject(new Error('Nothing is asked for'));
    };
    const client = createFeedClient({ url: 'http://127.0.0.1/feeds', fetch: request });
    const give = (child: ReactElement) => createElement(FeedProvider, { client }, child);
    for (const wrap of [provide, give]) {
      expect(render(() => useFeed('a'), wrap)).toBe('<i>{"ended":false}</i>');
      expect(render(() => useFeed(null), wrap)).toBe('<i>{"ended":false}</i>');
      expect(render(() => useFeed(['a', 'b'], { initial: 7, reduce: (sum) => sum + 1 }), wrap)).toBe('<i>{"state":7,"ended":false}</i>');
      expect(render(() => useFeedMessages('a', () => {}), wrap)).toBe('<i></i>');
      expect(render(() => useFeedStatus(), wrap)).toBe('<i>{"state":"idle"}</i>');
      expect(render(() => typeof useFeedClient().publish, wrap)).toBe('<i>"function"</i>');
    }
    expect(requests).toBe(0);
    client.close();
  });

  it('says what is wrong with how it is used', () => {
    const needsProvider = new TypeError('The hooks of nestjs-feed/react need a FeedProvider around their component');
    for (const hook of [() => useFeed('a'), () => useFeedMessages('a', () => {}), () => useFeedStatus(), () => useFeedClient()]) {
      expect(() => render(hook, (child) => child)).toThrow(needsProvider);
    }
    expect(() => render(() => useFeed('a b'))).toThrow(/^Not a feed's id/);
    expect(() => render(() => useFeedMessages(['a', '/'], () => {}))).toThrow(/^Not a feed's id/);
    const without = (child: ReactElement) => createElement(FeedProvider, {} as never, child);
    expect(() => render(() => null, without)).toThrow(new TypeError('FeedProvider needs a client or options, from its first render on'));
  });
});
