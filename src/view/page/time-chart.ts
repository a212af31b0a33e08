// Milliseconds of each generated token, with the cache and without, drawn by uPlot.

import uPlot from 'uplot';
import { milliseconds, times } from '../number-words.js';
import type { PageData } from '../page-data.js';
import type { Choice } from './choice.js';
import { byId, onRecolour } from './elements.js';
import { tokenName } from './run-on-page.js';

const [WIDEST, HEIGHT] = [1100, 280];
const LOGARITHMIC = 3; // uPlot's number for it

export function timeChart(run: PageData, choice: Choice): void {
  const place = byId('chart');
  const logarithmic = byId<HTMLInputElement>('logarithmic');
  logarithmic.checked = hasOutlier(run);
  let chart: uPlot | undefined;
  const redraw = () => {
    chart?.destroy();
    chart = new uPlot(optionsOf(run, choice, place, logarithmic.checked), dataOf(run), place);
  };
  redraw();
  logarithmic.addEventListener('change', redraw);
  onRecolour(redraw);
  new ResizeObserver(() => chart?.setSize({ width: widthOf(place), height: HEIGHT })).observe(place);
  place.addEventListener('click', () => {
    if (typeof chart?.cursor.idx === 'number') {
      choice.choose(run.promptTokens + chart.cursor.idx);
    }
  });
  choice.onChange((position) => {
    byId('time-words').textContent = timeWords(run, position);
    byId('time-words').title = exactTimes(run, position);
    chart?.redraw(false, false); // the marker alone has moved
  });
}

/** One pass that took far longer than the others would flatten them. */
function hasOutlier({ steps }: PageData): boolean {
  const all = steps.flatMap(({ cachedMs, uncachedMs }) => [cachedMs ?? 0, uncachedMs ?? 0]).sort((a, b) => a - b);
  return (all.at(-1) ?? 0) > 3 * (all[Math.floor(0.95 * (all.length - 1))] ?? 0);
}

function dataOf({ steps }: PageData): uPlot.AlignedData {
  const measured = (ms: number | null) => (ms === 0 ? null : ms); // the pass before gave it too
  return [
    steps.map((_, i) => i + 1),
    steps.map(({ cachedMs }) => measured(cachedMs)),
    steps.map(({ uncachedMs }) => measured(uncachedMs)),
  ];
}

function widthOf(place: HTMLElement): number {
  return Math.min(WIDEST, Math.max(200, place.clientWidth));
}

function optionsOf(run: PageData, choice: Choice, place: HTMLElement, isLogarithmic: boolean): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
  };
  const value = (_: uPlot, ms: number | null) => milliseconds(ms).words;
  const points = { show: run.steps.length < 40 };
  return {
    width: widthOf(place),
    height: HEIGHT,
    cursor: { drag: { x: false, y: false }, y: false },
    scales: {
      x: { time: false },
      y: isLogarithmic ? { distr: LOGARITHMIC } : { range: (_, _low, high) => [0, 1.05 * (high ?? 1)] },
    },
    series: [
      { label: 'written token' },
      { label: 'with the cache', stroke: colour('--decode'), width: 2, points, value },
      { label: 'without', stroke: colour('--uncached'), width: 2, dash: [6, 4], points, value },
    ],
    axes: [
      { ...axis, label: 'written token', labelSize: 20 },
      { ...axis, label: 'milliseconds', labelSize: 20, size: 56 },
    ],
    hooks: { draw: [(chart) => markChosen(chart, choice.position - run.promptTokens + 1, colour('--text'))] },
  };
}

function markChosen(chart: uPlot, token: number, colour: string): void {
  if (token < 1) {
    return; // of the prompt
  }
  const x = Math.round(chart.valToPos(token, 'x', true));
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.globalAlpha = 0.5;
  ctx.fillStyle = colour;
  ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
  ctx.restore();
}

function timeWords(run: PageData, position: number): string {
  const step = run.steps[position - run.promptTokens];
  const one =
    step === undefined
      ? 'A token of the prompt has no time of its own.'
      : `${tokenName(run, position)}: ${compared(step.cachedMs, step.uncachedMs)}.`;
  const both = run.steps.filter(({ cachedMs, uncachedMs }) => cachedMs !== null && uncachedMs !== null);
  const sum = (name: 'cachedMs' | 'uncachedMs') => both.reduce((total, other) => total + (other[name] ?? 0), 0);
  return both.length === 0
    ? one
    : `${one} All ${both.length} together: ${compared(sum('cachedMs'), sum('uncachedMs'))}.`;
}

/** As --json has them. */
function exactTimes(run: PageData, position: number): string {
  const step = run.steps[position - run.promptTokens];
  return step === undefined ? '' : `${milliseconds(step.cachedMs).exact}; ${milliseconds(step.uncachedMs).exact}`;
}

function compared(cached: number | null, uncached: number | null): string {
  if (cached === 0) {
    return 'a draft had guessed the token before it, so the pass before gave this one too';
  }
  const parts = [
    cached === null ? '' : `${milliseconds(cached).words} with the cache`,
    uncached === null ? '' : `${milliseconds(uncached).words} without it`,
  ].filter((part) => part !== '');
  const less = cached === null || uncached === null ? '' : ` (${times(uncached / cached)})`;
  return parts.length === 0 ? 'not measured' : parts.join(', ') + less;
}
