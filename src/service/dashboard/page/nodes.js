import { $, ask, attempt, showMissing, showTime, start } from './admin.js';
import { SortedTable, twoLines } from './list.js';
import { write } from './table.js';
import { bytes, count } from './text.js';

/** The node that has answered: the first of its answer. */
let own;

const table = new SortedTable(
  (node) => [
    linkTo(node.name),
    twoLines(count(node.open), `peak ${count(node.peak)}`),
    node.limit === null ? 'none' : count(node.limit),
    count(node.opened),
    count(node.rejected),
    count(node.feeds),
    count(node.messages),
    bytes(node.bytes),
    bytes(node.bufferedBytes),
  ],
  (node, key) => node[key] ?? undefined,
);

function linkTo(name) {
  const link = document.createElement('a');
  link.href = `connections?${new URLSearchParams({ node: name })}`;
  link.textContent = name;
  return twoLines(link, name === own ? 'has answered this page' : '');
}

async function load() {
  const { nodes, missing } = await ask('nodes');
  own = nodes[0].name;
  const open = nodes.reduce((sum, node) => sum + node.open, 0);
  const which = nodes.length === 1 ? '1 node' : `${count(nodes.length)} nodes`;
  write($('#summary'), `${which}, ${count(open)} ${open === 1 ? 'connection' : 'connections'} open`);
  showMissing(missing, 'what they count is not shown.');
  table.show(nodes);
  showTime();
}

$('#refresh').addEventListener('click', () => attempt(load));
start(load);
