import { createFeedClient } from './client/index.js';
import { write } from './table.js';
import { clock, count } from './text.js';

/** The most messages that are shown. */
const maxMessages = 200;

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
  #feeds;
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

  follow(id, token, kept) {
    this.#end();
    this.#received = 0;
    this.#list.replaceChildren();
    this.#log.hidden = true;
    const feeds = createFeedClient({ url: this.feeds, token });
    const stop = () => {
      this.#stop.hidden = true;
    };
    this.#feeds = feeds;
    this.#stop.hidden = false;
    try {
      feeds.follow(id, kept ? { since: 'earliest' } : {}).subscribe({
        next: (message) => this.#show(id, message),
        error: stop,
        complete: stop,
      });
      feeds.status.subscribe((status) => feeds === this.#feeds && this.#showStatus(id, status));
    } catch (error) {
      stop(); // it is no id
      this.#showStatus(id, { state: 'failed', error });
    }
  }

  #showStatus(id, { state, error }) {
    const reason = error?.status ? error.message : error ? 'connection lost' : 'ended';
    const states = {
      connecting: 'connecting',
      live: 'following',
      waiting: `${reason}, reconnecting`,
      ended: 'ended',
      failed: error?.message,
    };
    const progress = this.#received === 0 ? 'no messages yet' : `${count(this.#received)} ${this.#received === 1 ? 'message' : 'messages'}`;
    if (state in states) this.#showState(`${id}: ${states[state]}`, /live|ended/.test(state) ? ` · ${progress}` : '');
  }

  /** Messages are rendered together, once for each frame of the browser. */
  #show(id, message) {
    this.#received += 1;
    this.#pending.push(message);
    if (this.#pending.length > maxMessages) this.#pending.shift();
    if (this.#pending.length > 1) return;
    const feeds = this.#feeds;
    requestAnimationFrame(() => {
      const messages = this.#pending.splice(0);
      if (feeds !== this.#feeds) return;
      this.#log.hidden = false;
      this.#list.prepend(...messages.map(itemOf).reverse());
      while (this.#list.childElementCount > maxMessages) this.#list.lastElementChild.remove();
      this.#showStatus(id, feeds.status.value);
    });
  }

  #showState(state, progress = '') {
    write(this.#state, state);
    write(this.#progress, progress);
  }

  #end() {
    const feeds = this.#feeds;
    this.#feeds = undefined;
    feeds?.close();
    this.#stop.hidden = true;
    if (this.#received === 0) this.#showState('');
    else if (feeds) this.#showState(this.#state.textContent.replace(/[^:]*$/, ' stopped'), this.#progress.textContent);
  }
}
