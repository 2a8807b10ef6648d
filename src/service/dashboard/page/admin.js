import { write } from './table.js';
import { clock } from './text.js';

/** Where the key is kept: in this tab alone, until it is closed. */
const keyName = 'nestjs-feed admin key';
/** How long the service may take to answer, in milliseconds. */
const answerMs = 15_000;

export const $ = (selector) => document.querySelector(selector);

const notice = $('#notice');
const keyForm = $('#key-form');
const keyError = keyForm.querySelector('.error');

/** An answer that is an error: its message is the service's own. */
export class AnswerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The target of a route of operators, without the parameters that are empty. */
export function target(path, query = {}) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ''));
  return `../admin/${path}${given.size > 0 ? `?${given}` : ''}`;
}

/** Asks a route of operators, and returns the JSON of its answer. The key goes in a header, never in the URL. */
export async function ask(path, { method = 'GET', query, body, type } = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(keyName) ?? ''}`, ...(type && { 'Content-Type': type }) };
  let response;
  try {
    response = await fetch(target(path, query), { method, headers, body, signal: AbortSignal.timeout(answerMs), cache: 'no-store' });
  } catch (error) {
    throw new AnswerError(0, error.name === 'TimeoutError' ? 'The service has not answered in time.' : 'The service does not respond.');
  }
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  throw new AnswerError(response.status, answer?.message ?? `The answer is not one of the service (${response.status}).`);
}

/** Shows an error above the page, or nothing. */
export function showError(message = '') {
  write(notice, message);
  notice.hidden = message === '';
}

function askForKey(message = '') {
  write(keyError, message);
  keyForm.hidden = false;
  $('#content').hidden = true;
  $('#lock').hidden = true;
  keyForm.elements.key.focus();
}

/**
 * Does what asks the service, and shows what is wrong: where that is the key, the form for another one.
 *
 * @returns whether it has succeeded
 */
export async function attempt(work) {
  try {
    await work();
    showError();
    return true;
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    if (error.status === 401 || error.status === 403) {
      sessionStorage.removeItem(keyName);
      showError();
      askForKey(error.status === 401 ? 'The key is wrong.' : error.message);
    } else showError(error.message);
    return false;
  }
}

/** Shows the page once there is a key that opens it. @param load asks for what it shows */
export function start(load) {
  for (const link of document.querySelectorAll('header nav a')) {
    if (link.getAttribute('href') === document.body.dataset.page) link.setAttribute('aria-current', 'page');
  }
  if (document.body.dataset.admin !== 'true') {
    $('#absent').hidden = false;
    return;
  }
  const open = async () => {
    const isOpen = await attempt(load);
    if (!isOpen && !keyForm.hidden) return;
    keyForm.hidden = true;
    $('#content').hidden = false;
    $('#lock').hidden = false;
  };
  keyForm.addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(keyName, keyForm.elements.key.value.trim());
    keyForm.reset();
    open();
  });
  $('#lock').addEventListener('click', () => {
    sessionStorage.removeItem(keyName);
    location.reload();
  });
  if (sessionStorage.getItem(keyName) === null) askForKey();
  else open();
}

/** Says when what is shown was so. */
export function showTime() {
  write($('#at'), `as of ${clock(Date.now())}`);
}

/** Says which nodes have not answered. */
export function showMissing(missing, more) {
  const names = missing.length > 10 ? `${missing.slice(0, 10).join(', ')} and ${missing.length - 10} more` : missing.join(', ');
  write($('#missing'), missing.length > 0 ? `No answer from ${names}: ${more}` : '');
  $('#missing').hidden = missing.length === 0;
}

/**
 * Asks in a dialog before something is done, and does it: where that fails, the dialog says why and stays.
 *
 * @param options.title what is asked
 * @param options.text what it means
 * @param options.action the word on the button
 * @param options.work does it; gets what the dialog's form has
 * @param options.ends whether connections are ended, for which there is a reason
 * @returns whether it was done
 */
export function confirmed({ title, text, action, work, ends = false }) {
  // One of its own each time: that a dialog was closed is told later than it is seen, when the next one may be open.
  const dialog = $('#confirm').content.firstElementChild.cloneNode(true);
  const form = dialog.querySelector('form');
  const [cancel, submit] = form.querySelectorAll('.buttons button');
  write(form.querySelector('#confirm-title'), title);
  write(form.querySelector('#confirm-text'), text);
  write(submit, action);
  form.querySelector('#confirm-end').hidden = !ends;
  let done = Promise.resolve(false);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    done = work(form.elements).then(() => true);
    try {
      await done;
      dialog.close();
    } catch (failure) {
      if (!(failure instanceof AnswerError)) throw failure;
      if (dialog.open) write(form.querySelector('.error'), failure.message);
      else showError(failure.message);
      submit.disabled = false;
    }
  });
  cancel.addEventListener('click', () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(done.catch(() => false));
    });
  });
}
