import { write } from './table.js';
import { clock, count } from './words.js';

/** The most messages that are shown. */
const most = 200;
/** How long until a feed that has ended is followed again, in milliseconds. */
const again = 2000;

/** Yields the lines of a response as they come. */
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

/** Why a feed is refused, as the service says it. */
async function reasonOf(response) {
  const said = await response.json().catch(() => ({}));
  return said.message ?? `The service answers ${response.status}.`;
}

/** A message as an item of the list. It is text, whatever stands in it. */
function itemOf({ id, type, data }) {
  const item = document.createElement('li');
  const time = item.appendChild(document.createElement('time'));
  time.textContent = clock(Date.now());
  if (id) time.title = id;
  if (type) {
    const mark = item.appendChild(document.createElement('b'));
    mark.textContent = type;
  }
  const text = item.appendChild(document.createElement('span'));
  text.textContent = typeof data === 'string' ? data : JSON.stringify(data);
  return item;
}

/** Shows what a feed's followers get. */
export class Follower {
  #form = document.getElementById('follow-form');
  // What happens to the feed is announced, what it has brought is not: a busy one would never let a screen reader finish.
  #state = document.querySelector('#follow-state > [role=status]');
  #brought = document.querySelector('#follow-state > :last-child');
  #log = document.getElementById('log');
  #list = document.querySelector('#log > ol');
  #stop = document.getElementById('stop');
  #waiting = [];
  #following;
  #seen = 0;

  /** @param feeds where the feeds are */
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

  /** Follows one that was picked elsewhere. */
  pick(id) {
    this.#form.elements.id.value = id;
    this.#form.requestSubmit();
    document.getElementById('follow').scrollIntoView({ block: 'nearest' });
  }

  async follow(id, token, kept) {
    this.#end();
    const following = new AbortController();
    this.#following = following;
    this.#seen = 0;
    this.#list.replaceChildren();
    this.#log.hidden = true;
    this.#stop.hidden = false;
    let last;
    for (;;) {
      this.#say(`${id}: connecting`);
      try {
        const goesOn = await this.#read(id, { token, kept, last, signal: following.signal }, (message) => {
          last = message.id ?? last;
        });
        if (!goesOn) break;
        this.#say(`${id}: ended; followed again in a moment`);
      } catch {
        if (following.signal.aborted) return;
        this.#say(`${id}: the connection is lost; it is tried again`);
      }
      await new Promise((resolve) => setTimeout(resolve, again));
      if (following.signal.aborted) return;
    }
    this.#stop.hidden = true;
  }

  /** Reads a feed to its end; false where it is refused. */
  async #read(id, { token, kept, last, signal }, onMessage) {
    const headers = { Accept: 'application/x-ndjson' };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (last) headers['Last-Event-ID'] = last;
    const path = `${this.feeds}/${encodeURIComponent(id)}${kept ? '?since=earliest' : ''}`;
    const response = await fetch(path, { headers, signal, cache: 'no-store' });
    if (!response.ok) {
      this.#say(`${id}: ${await reasonOf(response)}`);
      return false;
    }
    this.#tell(id);
    for await (const line of linesOf(response)) {
      const message = JSON.parse(line);
      onMessage(message);
      this.#seen += 1;
      this.#show(id, message);
    }
    return true;
  }

  /** However many come, they are written once for each picture that the browser makes. */
  #show(id, message) {
    this.#waiting.push(message);
    if (this.#waiting.length > most) this.#waiting.shift();
    if (this.#waiting.length > 1) return;
    const following = this.#following;
    requestAnimationFrame(() => {
      const messages = this.#waiting.splice(0);
      if (following !== this.#following) return;
      this.#log.hidden = false;
      this.#list.prepend(...messages.map(itemOf).reverse());
      while (this.#list.childElementCount > most) this.#list.lastElementChild.remove();
      this.#tell(id);
    });
  }

  #tell(id) {
    const brought = this.#seen === 0 ? 'nothing has come yet' : `${count(this.#seen)} ${this.#seen === 1 ? 'message' : 'messages'}`;
    this.#say(`${id}: following`, ` · ${brought}`);
  }

  #say(state, brought = '') {
    write(this.#state, state);
    write(this.#brought, brought);
  }

  #end() {
    const isFollowing = this.#following !== undefined;
    this.#following?.abort();
    this.#following = undefined;
    this.#stop.hidden = true;
    if (this.#seen === 0) this.#say('');
    else if (isFollowing) this.#say(this.#state.textContent.replace(/[^:]*$/, ' stopped'), this.#brought.textContent);
  }
}
