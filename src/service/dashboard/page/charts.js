import { span } from './history.js';

/** What is shown at least, in seconds: a line that fills the whole width from its first second on says nothing. */
const least = 60;

const dark = matchMedia('(prefers-color-scheme: dark)');
const all = new Set();
let colours = {};

/** The style sheet's colours: a canvas has none of its own. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['accent', 'accent-fill', 'other', 'line', 'soft']) colours[name] = style.getPropertyValue(`--${name}`).trim();
}
readColours();
dark.addEventListener('change', () => {
  colours = {};
  readColours();
  for (const chart of all) chart.redraw(false);
});

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    for (const chart of all) {
      if (chart.root.parentElement === target && contentRect.width > 0) {
        chart.setSize({ width: contentRect.width, height: contentRect.height });
      }
    }
  }
});

const window = (_chart, low, high) => [Math.max(high - span, Math.min(low, high - least)), high];

/** From 0 to a little above the highest, and never flat. */
const fromZero = (floor) => (_chart, _low, high) => [0, Math.max(floor, (high ?? 0) * 1.15)];

/**
 * A chart in an element that has a size.
 *
 * @param options.names what of the history it shows: one, or two
 * @param options.say words for a value
 * @param options.floor the least that its height stands for
 * @param options.axes whether it has axes
 * @param options.log whether its height is logarithmic
 */
export function chart(element, history, { names, say, floor = 1, axes = false, log = false }) {
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
              values: (_chart, splits) => splits.map((split) => (Number.isInteger(split) ? say(split) : '')),
            },
          ]
        : [{ show: false }, { show: false }],
      series: [{}, ...series],
    },
    data(),
    element,
  );
  all.add(plot);
  resized.observe(element);
  element.role = 'img';
  return () => {
    plot.setData(data());
    const told = names.map((name) => {
      const [low, high] = history.range(name);
      return Number.isFinite(low) ? `${name}: lowest ${say(low)}, highest ${say(high)}` : `${name}: nothing yet`;
    });
    element.ariaLabel = `The last ten minutes. ${told.join('; ')}`;
  };
}
