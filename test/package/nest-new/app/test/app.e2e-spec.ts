import SwaggerParser from '@apidevtools/swagger-parser';
import type { INestApplication } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { expectMessages, follow as followApp } from 'nestjs-feed/testing';
import { io } from 'socket.io-client';
import request from 'supertest';
import { AppModule } from '../src/app.module.js';
import { configure, documentOf } from '../src/configure.js';
import { jwtSecret, publishKey } from '../src/jwt.js';

const token = new JwtService({ secret: jwtSecret }).sign({ sub: 'ada' });
const bearer = { Authorization: `Bearer ${token}` };

/** Reads a feed until it has a line that matches, and leaves. */
async function follow(url: string, pattern: RegExp, headers: Record<string, string> = {}, meanwhile?: () => Promise<unknown>) {
  const leaving = new AbortController();
  const response = await fetch(url, { headers, signal: leaving.signal });
  expect(response.status).toBe(200);
  await meanwhile?.();
  let seen = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    seen += decoder.decode(chunk, { stream: true });
    if (pattern.test(seen)) break;
  }
  leaving.abort();
  expect(seen).toMatch(pattern);
  return response;
}

describe.each(['express', 'fastify'])('the shop on %s', (platform) => {
  let app: INestApplication;
  let url: string;

  beforeAll(async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = module.createNestApplication(platform === 'express' ? new ExpressAdapter() : (new FastifyAdapter() as never), { logger: false });
    await configure(app, platform);
    await app.listen(0, '127.0.0.1');
    url = `${await app.getUrl()}/api/v1/orders`;
  });
  afterAll(() => app.close());

  it('has its own routes as before', async () => {
    const server = app.getHttpServer();
    await request(server).get('/api/v1/orders/7').expect(401);
    const { headers } = await request(server).get('/api/v1/orders/7').set(bearer).expect(200, { id: '7' });
    expect(headers).toMatchObject({ 'x-frame-options': 'SAMEORIGIN', 'x-ratelimit-limit': '1000' });
    await request(server).get('/api/v1/orders/7/owner').set(bearer).expect(200, { id: 'ada' });
    await request(server).post('/api/v1/orders/7').set(bearer).send({ status: 'sent', more: 1 }).expect(400);
  });

  it('follows what is published behind the guard, with the headers of what stands in front', async () => {
    expect((await fetch(`${url}/7/changes`)).status).toBe(401);
    const publish = () => request(app.getHttpServer()).post('/api/v1/orders/7').set(bearer).send({ status: 'sent' }).expect(201);
    const headers = { ...bearer, Accept: 'text/event-stream', Origin: 'http://shop.test' };
    const response = await follow(`${url}/7/changes`, /^data: \{"status":"sent","request":"string"\}$/m, headers, publish);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(response.headers.get('access-control-allow-origin')).toBe('http://shop.test');
    expect(response.headers.get('access-control-allow-credentials')).toBe('true');
    expect(response.headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(response.headers.get('x-ratelimit-limit')).toBe('1000');
  });

  it('resumes and chooses a format by a query that its DTO does not know', async () => {
    await request(app.getHttpServer()).post('/api/v1/orders/8').set(bearer).send({ status: 'paid' }).expect(201);
    await follow(`${url}/8/changes?note=1&since=earliest&format=ndjson`, /"data":\{"status":"paid"/, bearer);
    expect((await fetch(`${url}/8/changes?other=1`, { headers: bearer })).status).toBe(400);
  });

  it('sends no excluded field, neither of a source nor of what is published', async () => {
    await follow(`${url}/9/states`, /^\{"id":"9"\}$/m, bearer);
    await request(app.getHttpServer()).post('/api/v1/orders/9/placed').set(bearer).expect(201);
    await follow(`${url}/9/changes?since=earliest`, /^\{"id":"9"\}$/m, bearer);
  });

  it("has the module's own routes beside its guard", async () => {
    const feeds = `${await app.getUrl()}/api/feeds`;
    expect((await fetch(`${feeds}/news`, { method: 'POST', body: 'unsaid' })).status).toBe(401);
    const publish = (headers: Record<string, string>) =>
      fetch(`${feeds}/news`, { method: 'POST', body: 'said', headers: { 'Content-Type': 'text/plain', ...headers } });
    expect((await publish({ 'X-Feed-Key': publishKey })).status).toBe(201);
    await follow(`${feeds}/news?since=earliest`, /^said$/m);
    const health = await fetch(`${await app.getUrl()}/api/health`);
    expect([health.status, await health.json()]).toMatchObject([200, { status: 'ok' }]);
  });

  it('is tested with what the package has for that', async () => {
    await expect(followApp(app, '/api/v1/orders/10/changes')).rejects.toThrow(/orders\/10\/changes was answered 401: .*Unauthorized/);
    const changes = await followApp(app, '/api/v1/orders/10/changes', { headers: bearer });
    for (const status of ['paid', 'sent'])
      await request(app.getHttpServer()).post('/api/v1/orders/10').set(bearer).send({ status }).expect(201);
    await expectMessages(changes, [
      { status: 'paid', request: 'string' },
      { feed: 'orders/10', type: undefined, data: { status: 'sent', request: 'string' } },
    ]);
    await changes.close();
    const steps: unknown[] = [];
    for await (const { data } of await followApp(await app.getUrl(), '/api/v1/orders/10/steps')) if (steps.push(data) === 2) break;
    expect(steps).toEqual([
      { order: '10', step: 1 },
      { order: '10', step: 2 },
    ]);
  });

  it('follows a source on a public route', async () => {
    await follow(`${url}/7/steps`, /^\{"order":"7","step":1\}\n\{"order":"7","step":2\}$/m);
  });

  it('has socket.io on the same port', async () => {
    const socket = io(await app.getUrl());
    expect(await new Promise((resolve) => socket.emit('ping', {}, resolve))).toBe('pong');
    socket.disconnect();
  });

  it('has a valid OpenAPI document', async () => {
    const document = documentOf(app);
    await SwaggerParser.validate(structuredClone(document) as never);
    expect(Object.keys(document.paths)).toContain('/api/v1/orders/{id}/steps');
    expect(Object.keys(document.paths).filter((path) => path.includes('feeds'))).toEqual([]);
  });
});
