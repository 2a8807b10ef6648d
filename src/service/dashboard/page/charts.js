import { span } from './history.js';

/** The shortest time span of a chart, in seconds, so that its first seconds do not fill the whole width. */
const minSpan = 60;

const dark = matchMedia('(prefers-color-scheme: dark)');
/** The charts, by the elements that they are in. */
const all = new Map();
const colours = {};

/** Reads the style sheet's colours, for the canvas. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['accent', 'accent-fill', 'other', 'line', 'soft']) colours[name] = style.getPropertyValue(`--${name}`).trim();
}
readColours();
dark.addEventListener('change', () => {
  readColours();
  for (const chart of all.values()) chart.redraw(false);
});

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const { width, height } = contentRect;
    if (width > 0) all.get(target).setSize({ width, height });
  }
});

const window = (_chart, low, high) => [Math.max(high - span, Math.min(low, high - minSpan)), high];

/** From 0 to a little above the highest value, or up to the floor. */
const fromZero = (floor) => (_chart, _low, high) => [0, Math.max(floor, (high ?? 0) * 1.15)];

/**
 * Makes a chart in an element that has a size.
 *
 * @param options.names the one or two values of the history that it shows
 * @param options.format formats a value
 * @param options.floor the least value of its upper end
 * @param options.axes whether it has axes
 * @param options.log whether its height is logarithmic
 */
export function chart(element, history, { names, format, floor = 1, axes = false, log = false }) {
  const series = names.map((name, n) => ({
    label: name,
    stroke: () => colours[n === 0 ? 'accent' : 'other'],
    fill: n === 0 && !log ? () => colours['accent-fill'] : undefined,
    width: axes ? 2 : 1.5,
    points: { show: false },
  }));
  const lines = { stroke: () => colours.line, width: 1 };
  const axis = { stroke: () => colours.soft, font: '12px system-ui, sans-serif', grid: lines, ticks: { show: false } };
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB');
  const data = () => [history.times, ...names.map((name) => history.values[name])];
  const plot = new uPlot(
    {
      width: element.clientWidth || 300,
      height: element.clientHeight || 60,
      padding: axes ? [8, 28, 0, 0] : [4, 0, 2, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: true, range: window },
        y: log ? { distr: 3, range: (_chart, low, high) => [(low ?? 1) / 1.2, (high ?? 10) * 1.2] } : { range: fromZero(floor) },
      },
      axes: axes
        ? [
            { ...axis, size: 28, space: 90, grid: { show: false }, values: (_chart, splits) => splits.map(clock) },
            {
              ...axis,
              size: 52,
              space: 36,
              values: (_chart, splits) => splits.map((split) => (Number.isInteger(split) ? format(split) : '')),
            },
          ]
        : [{ show: false }, { show: false }],
      series: [{}, ...series],
    },
    data(),
    element,
  );
  all.set(element, plot);
  resized.observe(element);
  element.role = 'img';
  return () => {
    plot.setData(data());
    const ranges = names.map((name) => {
      const [low, high] = history.range(name);
      return Number.isFinite(low) ? `${name}: lowest ${format(low)}, highest ${format(high)}` : `${name}: no data yet`;
    });
    element.ariaLabel = `The last ten minutes. ${ranges.join('; ')}`;
  };
}
