/** A number with as many decimals as its column shows; what was not measured is a dash. */
export function decimals(value, digits) {
  if (value === undefined || value === null) return '–';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/**
 * Lays rows of text out as a table: the first column to the left, the others to the right.
 *
 * @param markdown as GitHub reads it, instead of for a terminal
 */
export function table(head, rows, markdown = false) {
  const cells = markdown ? [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|'))) : [head, ...rows];
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const [top, ...lines] = cells.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))),
  );
  if (!markdown)
    return [top.join('  '), widths.map((width) => '-'.repeat(width)).join('  '), ...lines.map((row) => row.join('  '))].join('\n');
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [top, rule, ...lines].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
