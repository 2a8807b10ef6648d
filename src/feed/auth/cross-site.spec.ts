import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isCrossSite } from './cross-site.js';

describe('isCrossSite', () => {
  it.each<[IncomingHttpHeaders, boolean]>([
    [{ 'sec-fetch-site': 'same-origin' }, false],
    [{ 'sec-fetch-site': 'none' }, false],
    [{ 'sec-fetch-site': 'same-site' }, true],
    [{ 'sec-fetch-site': 'cross-site' }, true],
    [{ 'sec-fetch-site': 'same-origin, cross-site' }, true],
    [{ 'sec-fetch-site': '' }, true],
    // a proxy may have rewritten Host
    [{ 'sec-fetch-site': 'same-origin', origin: 'https://feeds.example', host: 'inside:8080' }, false],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://feeds.example', host: 'feeds.example' }, true],
    [{ origin: 'https://feeds.example', host: 'feeds.example' }, false],
    [{ origin: 'http://localhost:8080', host: 'localhost:8080' }, false],
    [{ origin: 'https://feeds.example', ':authority': 'feeds.example' }, false],
    [{ origin: 'https://evil.example', ':authority': 'feeds.example' }, true],
    [{ origin: 'https://evil.example', host: 'feeds.example' }, true],
    [{ origin: 'https://feeds.example.evil.example', host: 'feeds.example' }, true],
    [{ origin: 'https://evilfeeds.example', host: 'feeds.example' }, true],
    [{ origin: 'http://localhost:8081', host: 'localhost:8080' }, true],
    [{ origin: 'null', host: 'feeds.example' }, true],
    [{ host: 'feeds.example' }, false],
  ])('%j: %j', (headers, crosses) => {
    expect(isCrossSite({ headers } as IncomingMessage)).toBe(crosses);
  });

  it.each<[IncomingHttpHeaders, boolean]>([
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://app.example' }, false],
    [{ origin: 'https://app.example', host: 'feeds.example' }, false],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://app.example.evil.example' }, true],
    [{ 'sec-fetch-site': 'cross-site', origin: 'http://app.example' }, true],
    [{ 'sec-fetch-site': 'cross-site', origin: 'null' }, true],
    [{ 'sec-fetch-site': 'cross-site' }, true],
  ])('with a trusted origin, %j: %j', (headers, crosses) => {
    expect(isCrossSite({ headers } as IncomingMessage, ['https://app.example'])).toBe(crosses);
  });
});
