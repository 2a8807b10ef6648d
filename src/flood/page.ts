import { loadECharts } from './echarts.js';
import { drawPicture } from './picture.js';
import { reportRows } from './print.js';
import type { FloodReport } from './report.js';

const style = `
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: #fff; color: #111; font: 1rem/1.4 system-ui, sans-serif }
h1 { margin: 0 0 .5rem; font-size: 1.25rem; overflow-wrap: anywhere }
figure { margin: 0 0 1rem }
svg { display: block; width: 100%; height: auto }
.narrow { display: none }
table { border-collapse: collapse }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { font-weight: normal; color: #444; white-space: nowrap }
td { font-variant-numeric: tabular-nums }
@media screen and (max-width: 640px) { body { padding: .5rem } .wide { display: none } .narrow { display: block } }
`;

/**
 * Draws a report as a self-contained HTML page without scripts: the picture, in a shape for screens and paper and in one for phones, and a
 * table of the figures.
 *
 * @throws FloodOptionsError if the optional package echarts is not installed
 */
export async function drawPage(report: FloodReport): Promise<string> {
  const escapeHtml = (await loadECharts()).format.encodeHTML;
  const title = `Flood of ${report.connections} connections to ${report.url}`;
  const rows = reportRows(report).map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value.replace(/ {3}/g, ', '))}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>Flood: ${report.ok ? 'ok' : 'NOT OK'}</h1>
<figure class="wide">${await drawPicture(report, 'wide')}</figure>
<figure class="narrow">${await drawPicture(report, 'narrow')}</figure>
<table>
${rows.join('\n')}
</table>
</body>
</html>
`;
}
