// What is computed, pass by pass, with the cache and without: two pictures of the same size, and the sums.

import { passOf, type Work } from '../cache-passes.js';
import { count, times } from '../number-words.js';
import type { PageData } from '../page-data.js';
import type { Choice } from './choice.js';
import { byId, draw, number, row } from './elements.js';

/** Of both pictures, and of what must be seen in them, in their own units. */
const [WIDTH, HEIGHT] = [320, 150];
const THINNEST = 1.5;

export function workPictures(run: PageData, choice: Choice): void {
  const markers = [triangle(run), diagonal(run)].map(withMarker);
  choice.onChange((position) => {
    const pass = Math.max(0, position - run.promptTokens);
    const height = HEIGHT / passCount(run);
    for (const marker of markers) {
      marker.setAttribute('y', String(Math.min(HEIGHT - THINNEST, pass * height)));
      marker.setAttribute('height', String(Math.max(THINNEST, height)));
    }
    const { work, total } = passOf(run, position);
    byId('work')
      .querySelector('tbody')
      ?.replaceChildren(workRow('this pass', work), workRow('all passes up to it', total));
  });
}

function passCount(run: PageData): number {
  return Math.max(1, run.tokens.length - run.promptTokens);
}

/** Without the cache a pass computes all positions before its token. */
function triangle(run: PageData): SVGElement {
  const picture = byId<SVGElement>('triangle');
  picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  const scale = positionScale(run);
  const passes = passCount(run);
  const steps = Array.from({ length: passes }, (_, pass) => {
    const right = scale(run.promptTokens + pass);
    return `L${right} ${(pass * HEIGHT) / passes}L${right} ${((pass + 1) * HEIGHT) / passes}`;
  });
  picture.append(ground(), draw('path', { class: 'work uncached', d: `M0 0${steps.join('')}L0 ${HEIGHT}Z` }));
  return picture;
}

/** With it, the prompt's new positions once, and then the newest alone. */
function diagonal(run: PageData): SVGElement {
  const picture = byId<SVGElement>('diagonal');
  picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  const scale = positionScale(run);
  const height = HEIGHT / passCount(run);
  const parts = run.prefill.length > 0 ? run.prefill : [{ from: 0, to: run.promptTokens, source: 'computed' as const }];
  const prompt = parts.map(({ from, to, source }) =>
    place(`work ${source === 'computed' ? 'prefill' : 'reused'}`, scale(from), 0, scale(to) - scale(from), height),
  );
  const decode = Array.from({ length: passCount(run) - 1 }, (_, pass) => {
    const position = run.promptTokens + pass;
    return place('work decode', scale(position), (pass + 1) * height, scale(position + 1) - scale(position), height);
  });
  picture.append(ground(), ...prompt, ...decode);
  return picture;
}

/** At least a line thick, so that one of a thousand is seen. */
function place(name: string, x: number, y: number, width: number, height: number): SVGElement {
  return draw('rect', { class: name, x, y, width: Math.max(THINNEST, width), height: Math.max(THINNEST, height) });
}

function positionScale(run: PageData): (position: number) => number {
  const width = WIDTH / Math.max(1, run.tokens.length - 1);
  return (position) => Math.round(100 * Math.min(WIDTH, position * width)) / 100;
}

function ground(): SVGElement {
  return draw('rect', { class: 'ground', x: 0, y: 0, width: WIDTH, height: HEIGHT });
}

function withMarker(picture: SVGElement): SVGElement {
  const marker = draw('rect', { class: 'marker', x: 0, y: 0, width: WIDTH, height: THINNEST });
  picture.append(marker);
  return marker;
}

function workRow(name: string, { cached, uncached }: Work): HTMLElement {
  const less = cached === 0 ? '–' : times(uncached / cached);
  const exact = `${uncached} : ${cached}`;
  return row(name, count(cached), count(uncached), number({ words: less, exact }));
}
