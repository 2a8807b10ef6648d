import { write } from './table.js';
import { clock, count } from './text.js';

/** The most messages that are shown. */
const maxMessages = 200;
/** The delay before reconnecting, in milliseconds. */
const reconnectMs = 2000;

/** Yields the lines of a response as they arrive. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    yield* lines.filter((line) => line !== '');
  }
}

/** The message of an error response. */
async function messageOf(response) {
  const body = await response.json().catch(() => ({}));
  return body.message ?? `The service responded with status ${response.status}.`;
}

/** A message as an item of the list. Its content is shown as text, never as HTML. */
function itemOf({ id, type, data }) {
  const item = document.createElement('li');
  const time = item.appendChild(document.createElement('time'));
  time.textContent = clock(Date.now());
  if (id) time.title = id;
  if (type) {
    const label = item.appendChild(document.createElement('b'));
    label.textContent = type;
  }
  const text = item.appendChild(document.createElement('span'));
  text.textContent = typeof data === 'string' ? data : JSON.stringify(data);
  return item;
}

/** Follows a feed, and shows its messages. */
export class FeedFollower {
  #form = document.getElementById('follow-form');
  // Screen readers announce the state, and not the progress, which changes too often.
  #state = document.querySelector('#follow-state > [role=status]');
  #progress = document.querySelector('#follow-state > :last-child');
  #log = document.getElementById('log');
  #list = document.querySelector('#log > ol');
  #stop = document.getElementById('stop');
  #pending = [];
  #abort;
  #received = 0;

  /** @param feeds the path of the feeds */
  constructor(feeds, needsToken) {
    this.feeds = feeds;
    document.getElementById('token').hidden = !needsToken;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const { id, token, kept } = this.#form.elements;
      this.follow(id.value.trim(), token.value.trim(), kept.checked);
    });
    this.#stop.addEventListener('click', () => {
      this.#end();
      this.#form.elements.id.focus();
    });
  }

  /** Enters an id into the form, and submits it. */
  pick(id) {
    this.#form.elements.id.value = id;
    this.#form.requestSubmit();
    document.getElementById('follow').scrollIntoView({ block: 'nearest' });
  }

  async follow(id, token, kept) {
    this.#end();
    const abort = new AbortController();
    this.#abort = abort;
    this.#received = 0;
    this.#list.replaceChildren();
    this.#log.hidden = true;
    this.#stop.hidden = false;
    let last;
    for (;;) {
      this.#showState(`${id}: connecting`);
      try {
        const isAccepted = await this.#read(id, { token, kept, last, signal: abort.signal }, (message) => {
          last = message.id ?? last;
        });
        if (!isAccepted) break;
        this.#showState(`${id}: ended, reconnecting`);
      } catch {
        if (abort.signal.aborted) return;
        this.#showState(`${id}: connection lost, reconnecting`);
      }
      await new Promise((resolve) => setTimeout(resolve, reconnectMs));
      if (abort.signal.aborted) return;
    }
    this.#stop.hidden = true;
  }

  /** Reads a feed to its end. Returns false if the request is rejected. */
  async #read(id, { token, kept, last, signal }, onMessage) {
    const headers = { Accept: 'application/x-ndjson' };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (last) headers['Last-Event-ID'] = last;
    const path = `${this.feeds}/${encodeURIComponent(id)}${kept ? '?since=earliest' : ''}`;
    const response = await fetch(path, { headers, signal, cache: 'no-store' });
    if (!response.ok) {
      this.#showState(`${id}: ${await messageOf(response)}`);
      return false;
    }
    this.#showProgress(id);
    for await (const line of linesOf(response)) {
      const message = JSON.parse(line);
      onMessage(message);
      this.#received += 1;
      this.#show(id, message);
    }
    return true;
  }

  /** Messages are rendered together, once for each frame of the browser. */
  #show(id, message) {
    this.#pending.push(message);
    if (this.#pending.length > maxMessages) this.#pending.shift();
    if (this.#pending.length > 1) return;
    const abort = this.#abort;
    requestAnimationFrame(() => {
      const messages = this.#pending.splice(0);
      if (abort !== this.#abort) return;
      this.#log.hidden = false;
      this.#list.prepend(...messages.map(itemOf).reverse());
      while (this.#list.childElementCount > maxMessages) this.#list.lastElementChild.remove();
      this.#showProgress(id);
    });
  }

  #showProgress(id) {
    const progress = this.#received === 0 ? 'no messages yet' : `${count(this.#received)} ${this.#received === 1 ? 'message' : 'messages'}`;
    this.#showState(`${id}: following`, ` · ${progress}`);
  }

  #showState(state, progress = '') {
    write(this.#state, state);
    write(this.#progress, progress);
  }

  #end() {
    const isFollowing = this.#abort !== undefined;
    this.#abort?.abort();
    this.#abort = undefined;
    this.#stop.hidden = true;
    if (this.#received === 0) this.#showState('');
    else if (isFollowing) this.#showState(this.#state.textContent.replace(/[^:]*$/, ' stopped'), this.#progress.textContent);
  }
}
