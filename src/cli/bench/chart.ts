// Milliseconds per token over depth, as a chart of characters. The only user of the chart library. That draws stairs
// between points, so each column gets a point of its own, on the straight line between two results.

import plot from 'simple-ascii-chart';
import { colorOfPlace, ink } from '../shell/palette.js';
import type { Terminal } from '../shell/terminal.js';

export type ChartPoint = readonly [depth: number, ms: number];

/** Each is drawn with its own symbol; the first lies on top. */
export interface ChartLine {
  readonly name: string;
  readonly points: readonly ChartPoint[];
}

const WIDTH = 61;
const HEIGHT = 14;
const SYMBOLS = '●○◆◇';

/** undefined: there are fewer than two depths, so there is no line to draw. */
export function depthChart(all: readonly ChartLine[]): string | undefined {
  const lines = all.filter(({ points }) => points.length > 1);
  const [first] = lines;
  if (first === undefined) {
    return undefined;
  }
  const drawn = lines.map(({ points }) => columns(points));
  const cells = drawn.map((points) => new Set(points.map(String)));
  const top = Math.max(...drawn.flat().map(([, ms]) => ms));
  const chart = plot(drawn.toReversed(), {
    width: WIDTH,
    height: HEIGHT,
    yRange: [0, top],
    customXAxisTicks: first.points.map(([depth]) => depth),
    customYAxisTicks: [0, top / 4, top / 2, (3 * top) / 4, top],
    formatter: (value, { axis }) => (axis === 'y' ? Number(value.toPrecision(3)) : value),
    lineFormatter: ({ x, y, plotX, plotY }) => ({
      x: plotX,
      y: plotY,
      symbol: SYMBOLS[cells.findIndex((points) => points.has(String([x, y])))] as string,
    }),
  });
  const legend = lines.map(({ name }, i) => `${SYMBOLS[i]} ${name}`).join('   ');
  const drawing = chart.split('\n').map((line) => line.trimEnd());
  return `milliseconds per token over depth   ${legend}\n${drawing.filter((line) => line !== '').join('\n')}`;
}

/** The symbols of each line in its own colour, in the chart and in its legend; the axes step back. */
export function withColors(chart: string, chalk: Terminal['chalk']): string {
  return chart
    .replace(/●+|○+|◆+|◇+/g, (run) => ink(colorOfPlace(SYMBOLS.indexOf(run[0] ?? '')), chalk)(run))
    .replace(/[▲▶┤│└┬─]+/g, (axis) => chalk.dim(axis));
}

/** A point for each column of the chart. */
function columns(points: readonly ChartPoint[]): [number, number][] {
  const first = (points[0] as ChartPoint)[0];
  const last = (points.at(-1) as ChartPoint)[0];
  return Array.from({ length: WIDTH }, (_, i) => between(points, first + ((last - first) * i) / (WIDTH - 1)));
}

/** The point at depth `x`, on the line between its neighbours. */
function between(points: readonly ChartPoint[], x: number): [number, number] {
  const right = Math.max(
    1,
    points.findIndex(([depth]) => depth >= x),
  );
  const [x0, y0] = points[right - 1] as ChartPoint;
  const [x1, y1] = points[right] as ChartPoint;
  return [x, y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)];
}
