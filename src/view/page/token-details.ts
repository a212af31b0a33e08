// All that is known of one token, beside the text.

import { milliseconds, probability } from '../number-words.js';
import type { PageData } from '../page-data.js';
import type { ReportToken } from '../run-record.js';
import { hexBytes, tokenPieces } from '../visible-text.js';
import { byId, make, number, piecesElement } from './elements.js';

/** Characters and bytes that are shown of a long one. */
const LONGEST = { token: 2000, rival: 40, bytes: 64 };

/** Shows the token at a position. */
export function tokenDetails(run: PageData): (position: number) => void {
  const panel = byId('details');
  return (position) => {
    const token = run.tokens[position];
    if (token !== undefined) {
      panel.replaceChildren(
        make('h3', 'shown-token', piecesElement(tokenPieces(token, LONGEST.token))),
        facts(run, token, position),
        ...rivals(token),
      );
    }
  };
}

function facts(run: PageData, token: ReportToken, position: number): HTMLElement {
  const step = run.steps[position - run.promptTokens];
  const isPrompt = position < run.promptTokens;
  const shown = hexBytes(token.bytes.slice(0, LONGEST.bytes));
  const list: [string, Node | string][] = [
    ['Position', `${position}, ${isPrompt ? 'of the prompt' : 'written'}`],
    ['Id', String(token.id)],
    ['Bytes', token.bytes.length > LONGEST.bytes ? `${shown} … ${token.bytes.length} in all` : shown || 'none'],
    ['Probability', token.logprob === null ? 'none: nothing comes before it' : number(probability(token.logprob))],
  ];
  const part = run.prefill.find(({ from, to }) => position >= from && position < to);
  if (part !== undefined) {
    list.push([`Positions ${part.from} to ${part.to - 1}`, number(milliseconds(part.ms))]);
  }
  if (step !== undefined) {
    const cached = milliseconds(step.cachedMs);
    list.push([
      'Time with the cache',
      number(step.cachedMs === 0 ? { ...cached, words: 'none: the pass before gave it too' } : cached),
    ]);
    list.push(['Without the cache', number(milliseconds(step.uncachedMs))]);
  }
  return make(
    'dl',
    'facts',
    ...list.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))),
  );
}

/** The likeliest tokens at this place, and this one if it is none of them. */
function rivals(token: ReportToken): HTMLElement[] {
  const top = token.top ?? [];
  if (top.length === 0 || token.logprob === null) {
    return [];
  }
  const own = { id: token.id, text: token.text, logprob: token.logprob };
  const all = top.some(({ id }) => id === token.id) ? top : [...top, own];
  const items = all.map((rival) => {
    const bar = make('span', 'bar-of-share');
    bar.style.width = `${100 * Math.exp(rival.logprob)}%`;
    const isOwn = rival.id === token.id;
    const name = piecesElement(tokenPieces(isOwn ? token : rival, LONGEST.rival));
    return make('li', isOwn ? 'own' : '', name, make('span', 'share', bar), number(probability(rival.logprob)));
  });
  return [make('h4', '', 'The likeliest here'), make('ol', 'rivals', ...items)];
}
