// better-sse on Express 5: a session and an interval for each connection.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { createSession } from 'better-sse';
import { listening, period } from './listening.js';

// The very Express that Nest's adapter brings, so that both rows run the same one.
const require = createRequire(import.meta.resolve('@nestjs/platform-express'));
const app = require('express')();

app.get('/test/:id', async (request: IncomingMessage, response: ServerResponse) => {
  // The other servers send no pings beside their chunks.
  const session = await createSession(request, response, { keepAlive: null });
  session.push(`better-sse welcomes you! Your Id: ${request.url}`);
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    session.push(`Chunk ${n} for id ${request.url}`);
  }, period);
  session.on('disconnected', () => clearInterval(timer));
});
const server = app.listen(0, '127.0.0.1', () => listening(server));
