// Milliseconds per token over depth, as a chart of characters. The only user of the chart library, which draws
// stairs from point to point: so each column gets a point of its own, on the straight line between two results.

import plot from 'simple-ascii-chart';
import type { Result } from './measure.js';

type Place = [depth: number, ms: number];

const WIDTH = 61;
const HEIGHT = 14;
const CACHED = '●';
const UNCACHED = '○';

/** undefined where there is nothing to see: fewer than two depths. */
export function depthChart(results: readonly Result[]): string | undefined {
  const cached = places(results, true);
  const uncached = places(results, false);
  if (cached.length < 2) {
    return undefined;
  }
  const lines = uncached.length < 2 ? [columns(cached)] : [columns(uncached), columns(cached)]; // the last is on top
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

function places(results: readonly Result[], cache: boolean): Place[] {
  return results.flatMap((result) =>
    result.phase === 'decode' && result.cache === cache ? [[result.depth, result.ms_per_token]] : [],
  );
}

function columns(places: readonly Place[]): Place[] {
  const first = (places[0] as Place)[0];
  const last = (places.at(-1) as Place)[0];
  return Array.from({ length: WIDTH }, (_, i) => between(places, first + ((last - first) * i) / (WIDTH - 1)));
}

function between(places: readonly Place[], x: number): Place {
  const right = Math.max(
    1,
    places.findIndex(([depth]) => depth >= x),
  );
  const [x0, y0] = places[right - 1] as Place;
  const [x1, y1] = places[right] as Place;
  return [x, y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)];
}
