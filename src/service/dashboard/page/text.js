const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** A number, with one decimal if it is small. */
export const count = (value) => (Math.abs(value) < 100 ? fine : whole).format(value);

const units = ['B', 'KB', 'MB', 'GB', 'TB'];

export function bytes(value) {
  const power = value < 1000 ? 0 : Math.min(units.length - 1, Math.max(1, Math.floor(Math.log2(value) / 10)));
  return `${count(value / 1024 ** power)} ${units[power]}`;
}

export const milliseconds = (value) => `${fine.format(value)} ms`;

const parts = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** A time span, by its two largest units. */
export function duration(ms) {
  let seconds = Math.max(0, Math.floor(ms / 1000));
  const texts = [];
  for (const [length, unit] of parts) {
    const many = Math.floor(seconds / length);
    seconds -= many * length;
    if (many > 0) texts.push(`${count(many)} ${unit}`);
    else if (texts.length > 0) break;
    if (texts.length === 2) break;
  }
  return texts.join(' ') || '0 s';
}

export const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

/** The end reasons of connections. */
export const endReasons = {
  client: 'client left',
  slow: 'read too slowly',
  stalled: 'stopped reading',
  expired: 'token expired',
  aged: 'reached its maximum age',
  completed: 'source completed',
  error: 'source failed',
  drained: 'shutdown',
  disconnected: 'ended by an operator',
  revoked: 'token revoked',
};

/** The same, with what no node says of its own connections. */
export const endTexts = { ...endReasons, lost: 'node lost' };

/** The reasons for which requests are rejected. */
export const rejectReasons = {
  limit: 'rejected: connection limit',
  feed: 'rejected: too many of one feed',
  client: 'rejected: too many of one client',
  rate: 'rejected: too many per minute',
  publishRate: 'rejected: published too fast',
  feedRate: 'rejected: too fast for one feed',
  broker: 'rejected: broker unavailable',
  overload: 'rejected: opening too slow',
  draining: 'rejected: shutting down',
};
