import { init } from 'echarts';
import { medianOf, type ServerRow } from './server-rows.js';
import { kilobytes, micros } from './streams.js';

const [width, rowHeight, margin] = [1100, 34, 90];
const panels = [
  { read: kilobytes, title: 'KB per connection', left: 220, colour: '#4c78a8' },
  { read: micros, title: 'µs CPU per chunk', left: 680, colour: '#f58518' },
];

/** What a connection and a chunk cost on each server, as bars, in one SVG. */
export function chart(rows: readonly ServerRow[], subtitle: string): string {
  const height = margin + rows.length * rowHeight + 20;
  const drawing = init(null, null, { renderer: 'svg', ssr: true, width, height });
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: [
      { text: 'What an open response costs', subtext: subtitle, left: 12, top: 6 },
      ...panels.map(({ title, left }) => ({ text: title, left, top: margin - 28, textStyle: { fontSize: 13 } })),
    ],
    grid: panels.map(({ left }) => ({ left, top: margin, width: 360, height: rows.length * rowHeight })),
    xAxis: panels.map((_, gridIndex) => ({ type: 'value', gridIndex, show: false })),
    yAxis: panels.map((_, gridIndex) => ({
      type: 'category',
      gridIndex,
      inverse: true,
      data: rows.map(({ name, ok }) => (ok ? name : `${name} (FAILED)`)),
      axisTick: { show: false },
      axisLine: { show: false },
      axisLabel: { show: gridIndex === 0, color: '#222222' },
    })),
    series: panels.map(({ read, colour }, index) => ({
      type: 'bar',
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: '62%',
      itemStyle: { color: colour },
      label: { show: true, position: 'right', color: '#222222' },
      data: rows.map((row) => Number(medianOf(row, read)?.toPrecision(3)) || '-'),
    })),
  });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return svg;
}
