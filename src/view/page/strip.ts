// The cache as a strip of positions: which of them hold keys and values when the chosen token stands, and where those came from.

import { originOf, originWords, passOf, SOURCE_WORDS } from '../cache-passes.js';
import { byteCount, milliseconds, plural } from '../number-words.js';
import type { PageData } from '../page-data.js';
import type { Choice } from './choice.js';
import { byId, make } from './elements.js';
import { tokenName } from './run-on-page.js';

export function strip(run: PageData, choice: Choice): void {
  const cells = run.tokens.map((_, position) => {
    const origin = originOf(run, position);
    const cell = make('span', `cell ${origin.source}${origin.chunk % 2 === 0 && origin.chunk > 0 ? ' even' : ''}`);
    cell.title = `position ${position} · ${tokenName(run, position)} · ${originWords(origin)}`;
    cell.addEventListener('click', () => choice.choose(position));
    return cell;
  });
  byId('strip').replaceChildren(...cells);
  byId('sources').replaceChildren(...sourceLegend(run));
  choice.onChange((position) => {
    const filled = filledAt(run, position);
    const pass = passOf(run, position);
    cells.forEach((cell, at) => {
      cell.classList.toggle('filled', at < filled);
      cell.classList.toggle('new', at >= pass.from && at < pass.to && at < filled);
      cell.classList.toggle('chosen', at === position);
    });
    const bytes = bytesAt(run, position, filled);
    byId('pass').textContent = passWords(run, position, filled, bytes);
    byId('pass').title = `${bytes} bytes`;
  });
}

/** Positions in the cache when the token at a position stands. Behind the last the report knows better: its token may have been run. */
function filledAt(run: PageData, position: number): number {
  const isLast = position === run.tokens.length - 1 && run.cache.enabled;
  return isLast ? run.cache.positions : passOf(run, position).filled;
}

function bytesAt(run: PageData, position: number, filled: number): number {
  const isAll = run.cache.enabled && position === run.tokens.length - 1;
  return isAll ? run.cache.bytes : filled * run.model.bytesPerPosition;
}

function passWords(run: PageData, position: number, filled: number, bytes: number): string {
  const { kind, from, to } = passOf(run, position);
  const part = run.prefill.find((other) => other.from === from && other.to === to);
  const took = part === undefined ? '' : ` (${milliseconds(part.ms).words})`;
  const which = to - from === 1 ? `position ${from} is` : `positions ${from} to ${to - 1} are`;
  const words = {
    prefill: `The prompt's ${which} ${SOURCE_WORDS[part?.source ?? 'computed']}${took}.`,
    first: `The prompt's last logits give ${tokenName(run, position)}.`,
    decode: decodeWords(run, position),
  }[kind];
  const held = run.cache.enabled ? 'The cache holds' : 'A cache would hold';
  const halves = `${byteCount(bytes / 2).words} of keys and as much of values`;
  return `${words} ${held} ${plural(filled, 'position')}, ${byteCount(bytes).words}: ${halves}.`;
}

/** Where a draft guesses, a pass runs the newest token and guesses behind it. */
function decodeWords(run: PageData, position: number): string {
  const [before, token] = [tokenName(run, position - 1), tokenName(run, position)];
  if (!run.cache.enabled) {
    return `All ${position} tokens are run again; the last logits give ${token}.`;
  }
  if (run.steps[position - run.promptTokens]?.cachedMs === 0) {
    return `A draft had guessed ${before}, so it was run at position ${position - 1} in the pass before; its logits give ${token}.`;
  }
  const alone = run.steps.some(({ cachedMs }) => cachedMs === 0) ? '' : ' alone';
  return `${before}${alone} is run, at position ${position - 1}; its logits give ${token}.`;
}

function sourceLegend(run: PageData): HTMLElement[] {
  const used = new Set(run.tokens.map((_, position) => originOf(run, position).source));
  const items = [...used].map((source) =>
    make('li', '', make('span', `swatch cell filled ${source}`), SOURCE_WORDS[source]),
  );
  const later = make('li', '', make('span', 'swatch cell'), 'not yet in the cache');
  return [...items, later];
}
