/**
 * Writes rows into a table's body. Those that are there are kept, so that nobody loses the focus, or the place, each second.
 *
 * @param rows by row, the texts of its cells
 * @param hasButtons whether the first cell is to be a button
 */
export function fill(body, rows, hasButtons = false) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  for (const [n, cells] of rows.entries()) {
    const row = body.rows[n] ?? rowOf(body, cells.length, hasButtons);
    for (const [m, text] of cells.entries()) write(row.cells[m].querySelector('button') ?? row.cells[m], text);
  }
}

function rowOf(body, length, hasButton) {
  const row = body.insertRow();
  const head = row.appendChild(document.createElement('th'));
  head.scope = 'row';
  if (hasButton) head.appendChild(document.createElement('button')).type = 'button';
  while (row.cells.length < length) row.insertCell().className = 'number';
  return row;
}

/** Writes a text where another stands. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
