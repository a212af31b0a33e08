// Milliseconds per token over depth, as a chart of characters. The only user of the chart library. That draws stairs
// between points, so each column gets a point of its own, on the straight line between two results.

import plot from 'simple-ascii-chart';
import type { Result } from './measure.js';

type ChartPoint = [depth: number, ms: number];

const WIDTH = 61;
const HEIGHT = 14;
const CACHED = '●';
const UNCACHED = '○';

/** undefined: there are fewer than two depths, so there is no line to draw. */
export function depthChart(results: readonly Result[]): string | undefined {
  const cached = pointsOf(results, true);
  const uncached = pointsOf(results, false);
  if (cached.length < 2) {
    return undefined;
  }
  const lines = uncached.length < 2 ? [columns(cached)] : [columns(uncached), columns(cached)]; // the last is drawn on top
  const onCached = new Set(lines.at(-1)?.map(String));
  const top = Math.max(...lines.flat().map(([, ms]) => ms));
  const chart = plot(lines, {
    width: WIDTH,
    height: HEIGHT,
    yRange: [0, top],
    customXAxisTicks: cached.map(([depth]) => depth),
    customYAxisTicks: [0, top / 4, top / 2, (3 * top) / 4, top],
    formatter: (value, { axis }) => (axis === 'y' ? Number(value.toPrecision(3)) : value),
    lineFormatter: ({ x, y, plotX, plotY }) => ({
      x: plotX,
      y: plotY,
      symbol: onCached.has(String([x, y])) ? CACHED : UNCACHED,
    }),
  });
  const legend = `${CACHED} with the cache${lines.length > 1 ? `   ${UNCACHED} without` : ''}`;
  const drawing = chart.split('\n').map((line) => line.trimEnd());
  return `milliseconds per token over depth   ${legend}\n${drawing.filter((line) => line !== '').join('\n')}`;
}

function pointsOf(results: readonly Result[], cache: boolean): ChartPoint[] {
  return results.flatMap((result) =>
    result.phase === 'decode' && result.cache === cache ? [[result.depth, result.ms_per_token]] : [],
  );
}

/** A point for each column of the chart. */
function columns(points: readonly ChartPoint[]): ChartPoint[] {
  const first = (points[0] as ChartPoint)[0];
  const last = (points.at(-1) as ChartPoint)[0];
  return Array.from({ length: WIDTH }, (_, i) => between(points, first + ((last - first) * i) / (WIDTH - 1)));
}

/** The point at depth `x`, on the line between its neighbours. */
function between(points: readonly ChartPoint[], x: number): ChartPoint {
  const right = Math.max(
    1,
    points.findIndex(([depth]) => depth >= x),
  );
  const [x0, y0] = points[right - 1] as ChartPoint;
  const [x1, y1] = points[right] as ChartPoint;
  return [x, y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)];
}
