// What clients see of the applications, and what they should.
import { equal, match } from 'node:assert/strict';
import { run } from './run.mjs';

/** Follows a feed. */
async function follow(url, headers = {}) {
  const response = await fetch(url, { headers });
  equal(response.status, 200, url);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let seen = '';
  return {
    async sees(pattern) {
      while (!pattern.test(seen)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`${url} ended before ${pattern}: ${seen}`);
        seen += value;
      }
    },
    async ends() {
      while (!(await reader.read()).done);
    },
    leave: () => reader.cancel(),
  };
}

const json = async (url) => (await fetch(url)).json();

/** The built-in route, one of the application's own, publishing, health and metrics; the feeds are open when the application is told to end. */
export async function feeds(url) {
  const chunks = await follow(`${url}/feeds/7`);
  await chunks.sees(/Chunk 1 for id .*\n(.*\n)*Chunk 2/);
  const orders = await follow(`${url}/orders/7`, { Accept: 'text/event-stream' });
  equal((await fetch(`${url}/orders/7`, { method: 'POST' })).status, 201);
  await orders.sees(/^data: \{"changed":"7"\}$/m);
  equal((await fetch(`${url}/health/ready`)).status, 200);
  const { open, handedOver } = await json(`${url}/health/connections`);
  equal(open, 2);
  equal(handedOver, 2);
  match(await (await fetch(`${url}/metrics`)).text(), /^\w+open\w* 2$/m);
  return () => Promise.all([chunks.ends(), orders.ends()]);
}

/** The command that comes with the package, let loose on the built-in route. */
export const flood = (command) => (url) => run(command, ['flood', `${url}/feeds/`, '-c', '20', '-d', '1']).then(() => {});

/** The application of the README. */
export async function readme(url) {
  const order = await follow(`${url}/orders/7`);
  await order.sees(/^\{"order":"7","step":1\}\n\{"order":"7","step":2\}\n/);
  await order.leave();
}

/** The feed behind the guard of the application that was there before. */
export async function existing(url) {
  const headers = { 'X-Session': 'of a user' };
  equal((await fetch(`${url}/orders/7/progress`)).status, 403);
  equal(await (await fetch(`${url}/orders/7`, { headers })).text(), '{"id":"7"}');
  const progress = await follow(`${url}/orders/7/progress`, headers);
  await progress.sees(/^\{"id":"7","step":0\}\n\{"id":"7","step":1\}\n/);
  return () => progress.ends();
}
