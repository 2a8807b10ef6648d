import type { EChartsOption, LegendComponentOption, LineSeriesOption, XAXisComponentOption, YAXisComponentOption } from 'echarts';
import { type Curves, curvesOf } from './curves.js';
import { loadECharts } from './echarts.js';
import type { FloodReport } from './report.js';

/** The sizes of a picture, in its own pixels. It is scalable. */
interface Shape {
  width: number;
  height: number;
  font: number;
}

/** `wide` is for screens and paper, `narrow` for phones. */
const shapes = {
  wide: { width: 1200, height: 720, font: 17 },
  narrow: { width: 420, height: 640, font: 14.5 },
} satisfies Record<string, Shape>;

type ValueAxis = Extract<YAXisComponentOption, { type?: 'value' }>;

export type PictureShape = keyof typeof shapes;

/** Lines differ in width and stroke, so that they are distinct without colour. */
const strokes = {
  memory: { color: '#000', width: 5, type: 'solid' },
  begun: { color: '#7f0000', width: 3, type: [10, 7] },
  open: { color: '#08306b', width: 1.5, type: 'solid' },
} satisfies Record<string, LineSeriesOption['lineStyle']>;

const names = { memory: 'resident memory', begun: 'connections started', open: 'connections open' };

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat('en-US', { notation: 'compact' });

/**
 * Draws a report's samples over a logarithmic time axis: the CPU use of each thread as stacked areas, resident memory, and the connections
 * started and open. Curves without samples are left out.
 *
 * @returns an SVG document that scales to the width of its container
 * @throws FloodOptionsError if the optional package echarts is not installed
 */
export async function drawPicture(report: FloodReport, shape: PictureShape = 'wide'): Promise<string> {
  const { init } = await loadECharts();
  const { width, height } = shapes[shape];
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption(optionOf(report, shapes[shape]));
    return chart.renderToSVGString();
  } finally {
    // A chart has a timer that keeps the process alive.
    chart.dispose();
  }
}

function optionOf(report: FloodReport, shape: Shape): EChartsOption {
  const { font, width } = shape;
  const curves = curvesOf(report);
  const series = seriesOf(curves);
  const legend = legendOf(series, shape);
  const top = font * 4.5 + legend.height;
  // Letter widths are estimated; bold ones are wider.
  const room = (width - 2 * font) * 0.86;
  const side = width > 800 ? font : font * 0.4;
  return {
    animation: false,
    backgroundColor: '#fff',
    textStyle: { fontFamily: 'sans-serif', fontSize: font, color: '#111' },
    title: {
      text: `${number.format(report.connections)} connections to ${report.url}`,
      subtext: report.startedAt.replace(/T(.*)\..*$/, ' $1 UTC'),
      left: font,
      top: font * 0.6,
      itemGap: font * 0.4,
      textStyle: { fontSize: width > 800 ? font * 1.15 : font, color: '#111', width: room, overflow: 'truncate' },
      subtextStyle: { fontSize: font, color: '#333' },
    },
    legend: { ...legend.option, top: font * 4 },
    grid: { left: side, right: side, top, bottom: font, outerBoundsMode: 'same', outerBoundsContain: 'all' },
    xAxis: timeAxis(curves.seconds, shape),
    yAxis: valueAxes(curves, shape),
    series,
  };
}

function seriesOf({ seconds, threads, memory, begun, open }: Curves): LineSeriesOption[] {
  const points = (values: (number | null)[]) => seconds.map((second, n) => [second, values[n] ?? null]);
  const base = { type: 'line', silent: true, emphasis: { disabled: true }, symbol: seconds.length === 1 ? 'circle' : 'none' } as const;
  const line = (key: keyof typeof strokes, axis: string, values: (number | null)[], z: number): LineSeriesOption => ({
    ...base,
    name: names[key],
    yAxisId: axis,
    z,
    data: points(values),
    lineStyle: strokes[key],
    itemStyle: { color: strokes[key].color },
  });
  return [
    ...threads.map(({ name, percent, isRest }, n): LineSeriesOption => {
      const color = isRest ? '#ececec' : areaColour(n);
      return {
        ...base,
        name,
        yAxisId: 'cpu',
        z: 2,
        stack: 'cpu',
        data: points(percent),
        // A dark edge separates neighbours that print as the same grey.
        lineStyle: { color: '#444', width: 0.7 },
        itemStyle: { color },
        areaStyle: { color, opacity: 1 },
      };
    }),
    ...(memory ? [line('memory', 'memory', memory, 5)] : []),
    line('begun', 'connections', begun, 3),
    line('open', 'connections', open, 4),
  ];
}

/** Neighbours differ in lightness and hue; none is so dark that a line on it is invisible. */
function areaColour(n: number): string {
  const lightness = [80, 66, 91, 73][n % 4];
  // The golden angle: no hue repeats.
  return `hsl(${Math.round((205 + n * 137.5) % 360)},62%,${lightness}%)`;
}

/** The legend, and an estimate of its height, which depends on how its items wrap. */
function legendOf(series: LineSeriesOption[], { width, font }: Shape): { option: LegendComponentOption; height: number } {
  const [iconWidth, gap] = [font * 2.2, font];
  const room = width - 2 * font;
  let rows = 1;
  let used = 0;
  for (const { name } of series) {
    const item = iconWidth + 5 + String(name).length * font * 0.55 + gap;
    if (used > 0 && used + item > room) {
      rows += 1;
      used = 0;
    }
    used += item;
  }
  return {
    height: rows * font * 1.55,
    option: {
      left: font,
      width: room,
      padding: 0,
      itemWidth: iconWidth,
      itemHeight: font * 0.85,
      itemGap: font * 0.55,
      textStyle: { fontSize: font * 0.95, color: '#111' },
      selectedMode: false,
      data: series.map(({ name, areaStyle, lineStyle }) =>
        areaStyle
          ? { name: String(name), icon: 'rect', itemStyle: { borderColor: '#444', borderWidth: 0.7 } }
          : { name: String(name), itemStyle: { opacity: 0 }, lineStyle: { ...lineStyle, inactiveWidth: 0 } },
      ),
    },
  };
}

function timeAxis(seconds: number[], { font }: Shape): XAXisComponentOption {
  const max = Math.max(2, seconds.at(-1) ?? 0);
  const marks = Array.from({ length: 8 }, (_, n) => [1, 2, 5].map((digit) => digit * 10 ** n))
    .flat()
    .filter((mark) => mark <= max);
  return {
    type: 'log',
    min: 1,
    max,
    name: 'seconds (logarithmic)',
    nameLocation: 'middle',
    nameGap: font * 1.9,
    nameTextStyle: { fontSize: font, color: '#111' },
    axisLine: { lineStyle: { color: '#111' } },
    axisTick: { customValues: marks, length: 6 },
    axisLabel: {
      customValues: marks,
      fontSize: font,
      color: '#111',
      hideOverlap: true,
      formatter: (value: number) => number.format(value),
    },
    splitLine: { show: true, lineStyle: { color: '#ddd' } },
  };
}

function valueAxes({ threads, memory }: Curves, { font, width }: Shape): ValueAxis[] {
  const left = threads.length > 0;
  const isWide = width > 800;
  const format = isWide ? number : short;
  // A gap at the top, so that a flat line does not coincide with the frame.
  const boundaryGap: [number, string] = [0, '4%'];
  const axis = (id: string, name: string, more: ValueAxis): ValueAxis => ({
    type: 'value',
    id,
    name,
    min: 0,
    splitNumber: 5,
    nameLocation: 'middle',
    nameTextStyle: { fontSize: font, color: '#111' },
    axisLine: { show: true, lineStyle: { color: '#111' } },
    axisTick: { show: true },
    axisLabel: { fontSize: font, color: '#111', formatter: (value: number) => format.format(value) },
    splitLine: { show: false },
    ...more,
  });
  return [
    ...(left ? [axis('cpu', 'CPU, % of one core', { position: 'left', splitLine: { show: true, lineStyle: { color: '#ddd' } } })] : []),
    ...(memory ? [axis('memory', 'memory, MB', { position: 'right', boundaryGap })] : []),
    axis('connections', 'connections', {
      position: left ? 'right' : 'left',
      offset: left && memory ? font * (isWide ? 5.4 : 5) : 0,
      boundaryGap,
      minInterval: 1,
    }),
  ];
}
