import type { DurationSummary } from './durations.js';
import type { ResolvedFloodOptions } from './options.js';
import type { FloodReport, FloodSample, PublishReport } from './report.js';

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1, minimumFractionDigits: 1 });

const barWidth = 24;

/** A sample as a line: for a terminal with a progress bar, else with the time. */
export function sampleLine(sample: FloodSample, { connections }: ResolvedFloodOptions, withBar: boolean): string {
  const share = sample.begun / connections;
  const filled = Math.round(share * barWidth);
  const ramp = withBar
    ? `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${Math.floor(share * 100)} %`
    : `${sample.at.toFixed(0).padStart(4)} s`;
  const parts = [
    ramp,
    `open ${number.format(sample.open)}`,
    `closed ${number.format(sample.endedEarly)}`,
    `failed ${number.format(sample.failed)}`,
    `${number.format(sample.chunks)} chunks/s`,
  ];
  if (sample.delivered !== undefined) parts.push(`${number.format(sample.delivered)} messages/s`);
  if (sample.rssBytes !== undefined) parts.push(`RSS ${megabytes(sample.rssBytes)}`);
  return parts.join('  ');
}

/** The report as a table of two columns. */
export function reportTable(report: FloodReport): string {
  const rows = reportRows(report);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padStart(width)}  ${value}`).join('\n');
}

type Row = [name: string, value: string];

/** The report as names and formatted values. */
export function reportRows(report: FloodReport): Row[] {
  const { server, client, publish } = report;
  const unit = publish ? 'delivery' : 'chunk';
  const rows: Row[] = [
    ['connections', `${number.format(report.opened)} of ${number.format(report.connections)} opened`],
    ['failed', number.format(report.failed)],
    ['ended early', number.format(report.endedEarly)],
    // Without chunks, zeros would suggest that they were checked.
    ...(publish && report.chunks === 0 ? [] : chunkRows(report)),
    ...(publish ? publishRows(publish) : []),
    ['first byte', durations(report.firstByteMs)],
    ['client', `RSS ${megabytes(client.rssBytes)}   CPU ${precise.format(client.cpuSeconds)} s${cost(client.cpuMicrosPerDelivery, unit)}`],
  ];
  if (server) {
    const perConnection = precise.format(server.bytesPerConnection / 1024);
    rows.push(
      ['server memory', `RSS ${megabytes(server.rssBeforeBytes)} → ${megabytes(server.rssBytes)}   ${perConnection} KB per connection`],
      ['server CPU', `${precise.format(server.cpuSeconds)} s${cost(server.cpuMicrosPerDelivery, unit)}`],
    );
  }
  for (const [reason, count] of Object.entries(report.reasons)) rows.push([`× ${number.format(count)}`, reason]);
  for (const [reason, count] of Object.entries(publish?.reasons ?? {})) rows.push([`× ${number.format(count)}`, `publish: ${reason}`]);
  rows.push(['result', report.ok ? 'ok' : 'NOT OK']);
  return rows;
}

function chunkRows(report: FloodReport): Row[] {
  const { unchecked } = report;
  return [
    ['chunks', `${number.format(report.chunks)} (${number.format(report.chunksPerSecond)} per second with all open)`],
    ['missing', number.format(report.missing)],
    ['repeated', number.format(report.repeated)],
    ['out of order', number.format(report.outOfOrder)],
    ['misdelivered', number.format(report.misdelivered)],
    ...(unchecked > 0 ? [['unchecked', `${number.format(unchecked)} connections had no numbered chunk`] as Row] : []),
    ['largest silence', `${number.format(report.largestSilenceMs)} ms`],
  ];
}

function publishRows(publish: PublishReport): Row[] {
  const { acknowledged, failed, unsent, lost, repeated, outOfOrder, misdelivered } = publish;
  const counts = (parts: Record<string, number>) => Object.entries(parts).map(([name, count]) => `   ${number.format(count)} ${name}`);
  const sent = `${number.format(publish.sent)} (${precise.format(publish.perSecond)} per second, ${number.format(publish.rate)} requested)`;
  const rows: Row[] = [
    ['published', sent + counts({ acknowledged, failed, unsent }).join('')],
    ['delivered', number.format(publish.delivered) + counts({ lost, repeated, 'out of order': outOfOrder, misdelivered }).join('')],
  ];
  if (publish.delivered > 0) rows.push(['latency', durations(publish.latencyMs)], ['last follower', durations(publish.lastMs)]);
  return rows;
}

function durations({ p50, p99, max }: DurationSummary): string {
  return `p50 ${precise.format(p50)} ms   p99 ${precise.format(p99)} ms   max ${precise.format(max)} ms`;
}

function cost(micros: number | null, unit: string): string {
  return micros === null ? '' : `   ${precise.format(micros)} µs per ${unit}`;
}

function megabytes(bytes: number): string {
  return `${precise.format(bytes / 1024 / 1024)} MB`;
}
