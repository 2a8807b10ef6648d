// Bare node:http: an interval for each connection and res.write().
import { createServer } from 'node:http';
import { listening, period } from './listening.js';

const server = createServer((request, response) => {
  if (!request.url?.startsWith('/test/')) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.write(`Node welcomes you! Your Id: ${request.url}\n`);
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    response.write(`Chunk ${n} for id ${request.url}\n`);
  }, period);
  response.on('close', () => clearInterval(timer));
});
server.listen(0, '127.0.0.1', () => listening(server));
