import type { ResolvedFloodOptions } from './options.js';
import type { FloodReport, FloodSample } from './report.js';

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1, minimumFractionDigits: 1 });

const barWidth = 24;

/** A sample as a line: with a bar of the ramp for a terminal, in words and numbers for everything else. */
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
  if (sample.rssBytes !== undefined) parts.push(`RSS ${megabytes(sample.rssBytes)}`);
  return parts.join('  ');
}

/** The report as a table of two columns. */
export function reportTable(report: FloodReport): string {
  const rows = reportRows(report);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padStart(width)}  ${value}`).join('\n');
}

/** What the report says, as names and values for people to read. */
export function reportRows(report: FloodReport): [name: string, value: string][] {
  const { firstByteMs, server, client } = report;
  const rows: [string, string][] = [
    ['connections', `${number.format(report.opened)} of ${number.format(report.connections)} opened`],
    ['failed', number.format(report.failed)],
    ['ended early', number.format(report.endedEarly)],
    ['chunks', `${number.format(report.chunks)} (${number.format(report.chunksPerSecond)} a second with all open)`],
    ['missing', number.format(report.missing)],
    ['repeated', number.format(report.repeated)],
    ['out of order', number.format(report.outOfOrder)],
    ['misdelivered', number.format(report.misdelivered)],
  ];
  if (report.unchecked > 0) rows.push(['unchecked', `${number.format(report.unchecked)} connections had no numbered chunk to check`]);
  rows.push(
    ['largest silence', `${number.format(report.largestSilenceMs)} ms`],
    [
      'first byte',
      `p50 ${precise.format(firstByteMs.p50)} ms   p99 ${precise.format(firstByteMs.p99)} ms   max ${precise.format(firstByteMs.max)} ms`,
    ],
    ['client', `RSS ${megabytes(client.rssBytes)}   CPU ${precise.format(client.cpuSeconds)} s${perChunk(client.cpuMicrosPerChunk)}`],
  );
  if (server) {
    const perConnection = precise.format(server.bytesPerConnection / 1024);
    rows.push(
      ['server memory', `RSS ${megabytes(server.rssBeforeBytes)} → ${megabytes(server.rssBytes)}   ${perConnection} KB a connection`],
      ['server CPU', `${precise.format(server.cpuSeconds)} s${perChunk(server.cpuMicrosPerChunk)}`],
    );
  }
  for (const [reason, count] of Object.entries(report.reasons)) rows.push([`× ${number.format(count)}`, reason]);
  rows.push(['result', report.ok ? 'ok' : 'NOT OK']);
  return rows;
}

function perChunk(micros: number | null): string {
  return micros === null ? '' : `   ${precise.format(micros)} µs a chunk`;
}

function megabytes(bytes: number): string {
  return `${precise.format(bytes / 1024 / 1024)} MB`;
}
