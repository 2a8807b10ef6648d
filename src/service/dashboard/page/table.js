/**
 * Writes rows into a table's body. Existing rows are reused, so that an update each second does not move the focus or the scroll position.
 *
 * @param rows the texts of the cells of each row
 * @param hasButtons whether the first cell of a row is a button
 */
export function fill(body, rows, hasButtons = false) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  for (const [n, cells] of rows.entries()) {
    const row = body.rows[n] ?? addRow(body, cells.length, hasButtons);
    for (const [m, text] of cells.entries()) write(row.cells[m].querySelector('button') ?? row.cells[m], text);
  }
}

function addRow(body, length, hasButton) {
  const row = body.insertRow();
  const head = row.appendChild(document.createElement('th'));
  head.scope = 'row';
  if (hasButton) head.appendChild(document.createElement('button')).type = 'button';
  while (row.cells.length < length) row.insertCell().className = 'number';
  return row;
}

/** Sets an element's text, if it has changed. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
