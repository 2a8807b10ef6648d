import { $ } from './admin.js';

/** A table whose columns sort what is shown, each by a click on its head. On a narrow screen a row is a card: its cells have labels. */
export class SortedTable {
  #table = $('#list');
  #heads = [...this.#table.tHead.rows[0].cells];
  #items = [];
  #key = '';
  #isDescending = false;

  /**
   * @param cellsOf the cells of an item, a text or a node each
   * @param sortedBy what an item is sorted by
   */
  constructor(cellsOf, sortedBy = (item, key) => item[key]) {
    this.cellsOf = cellsOf;
    this.sortedBy = sortedBy;
    this.#table.tHead.addEventListener('click', ({ target }) => {
      const { key } = target.dataset;
      if (key === undefined) return;
      // Numbers are looked at from the largest on.
      const isNumber = target.parentElement.classList.contains('number');
      this.#isDescending = this.#key === key ? !this.#isDescending : isNumber;
      this.#key = key;
      this.#draw();
    });
  }

  show(items) {
    this.#items = items;
    this.#draw();
  }

  #draw() {
    for (const head of this.#heads) {
      const isSorted = head.firstElementChild?.dataset.key === this.#key;
      if (isSorted) head.ariaSort = this.#isDescending ? 'descending' : 'ascending';
      else head.removeAttribute('aria-sort');
    }
    const items = this.#key === '' ? this.#items : [...this.#items].sort((a, b) => this.#compare(a, b));
    this.#table.tBodies[0].replaceChildren(...items.map((item) => this.#row(item)));
    this.#table.hidden = items.length === 0;
  }

  #compare(a, b) {
    const [one, other] = [a, b].map((item) => this.sortedBy(item, this.#key));
    // What is not known comes last, in either order.
    if (one === undefined || other === undefined) return one === other ? 0 : one === undefined ? 1 : -1;
    const order = typeof one === 'number' ? one - other : String(one).localeCompare(String(other), 'en', { numeric: true });
    return this.#isDescending ? -order : order;
  }

  #row(item) {
    const row = document.createElement('tr');
    for (const [n, content] of this.cellsOf(item).entries()) {
      const cell = row.appendChild(document.createElement(n === 0 ? 'th' : 'td'));
      if (n === 0) cell.scope = 'row';
      cell.className = this.#heads[n].className;
      cell.dataset.label = this.#heads[n].textContent;
      cell.append(content);
      if (content === unknown) cell.classList.add('unknown');
    }
    return row;
  }
}

/** Stands for what is not there. A card leaves it out. */
export const unknown = '–';

/** A text that may be long: it is shortened where it would take too many lines. */
export function long(text) {
  const made = document.createElement('span');
  made.className = 'long';
  made.textContent = text;
  made.title = text;
  return made;
}

/** A button with a text. */
export function button(text, onClick, name = '') {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.className = name;
  made.addEventListener('click', () => onClick(made));
  return made;
}

/** A text, and a smaller one below it. */
export function twoLines(text, below) {
  const both = document.createDocumentFragment();
  both.append(text);
  if (below === '') return both;
  const more = both.appendChild(document.createElement('small'));
  more.textContent = below;
  return both;
}
