const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** A count, with a digit behind the point where it is small and not whole. */
export const count = (value) => (Math.abs(value) < 100 ? fine : whole).format(value);

const units = ['B', 'KB', 'MB', 'GB', 'TB'];

export function bytes(value) {
  const power = value < 1000 ? 0 : Math.min(units.length - 1, Math.max(1, Math.floor(Math.log2(value) / 10)));
  return `${count(value / 1024 ** power)} ${units[power]}`;
}

export const milliseconds = (value) => `${fine.format(value)} ms`;

export const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

/** What the reasons for which connections end, and are refused, mean. */
export const ends = {
  client: 'client left',
  slow: 'read too slowly',
  stalled: 'stopped reading',
  expired: 'token expired',
  aged: 'reached its maximum age',
  completed: 'source completed',
  error: 'source failed',
  drained: 'shutdown',
};

export const refusals = {
  limit: 'refused: connection limit',
  client: 'refused: too many of one client',
  rate: 'refused: too many per minute',
  broker: 'refused: broker away',
  draining: 'refused: shutting down',
};
