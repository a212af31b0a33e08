// The part of the page that needs no script: each token a box in the colour of its probability, the colours' meaning, and all
// that is known of the tokens as a table.

import { originOf, originWords } from './cache-passes.js';
import { escapeMarkup, piecesMarkup } from './markup.js';
import { milliseconds, probability, type Said } from './number-words.js';
import { cachedRun, tokensOf } from './page-data.js';
import { PROBABILITY_STEPS, probabilityStep, stepWords } from './probability-scale.js';
import type { ReportToken, RivalToken, RunRecord } from './run-record.js';
import { hexBytes, tokenPieces, visibleLine } from './visible-text.js';

/** Characters of a token in the text, in its title and in the table. */
const LONGEST = { box: 300, title: 60, cell: 1000 };
/** Letters that are written from right to left. */
const RIGHT_TO_LEFT =
  /^[^\p{L}]*[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

export function tokenBoxes(record: RunRecord): string {
  const { prompt, text, prompt_ids } = record.report;
  const boxes = tokensOf(record).map((token, position) => tokenBox(token, position < prompt_ids.length));
  const direction = RIGHT_TO_LEFT.test(prompt + text) ? 'rtl' : 'ltr';
  return `<div class="tokens" id="tokens" dir="${direction}" translate="no">${boxes.join('')}</div>`;
}

function tokenBox(token: ReportToken, isPrompt: boolean): string {
  const colour = token.logprob === null ? 'unscored' : `p${probabilityStep(token.logprob)}`;
  const said = token.logprob === null ? 'the first token' : probability(token.logprob).words;
  const title = `${visibleLine(tokenPieces(token, LONGEST.title))} · ${said} · id ${token.id}`;
  const classes = `token ${colour}${isPrompt ? ' prompt' : ''}`;
  const pieces = tokenPieces(token, LONGEST.box);
  const lineEnds = pieces.filter(({ breaks }) => breaks).map(() => '<br>');
  return `<span class="${classes}" title="${escapeMarkup(title)}">${piecesMarkup(pieces)}</span>${lineEnds.join('')}`;
}

export function legend(): string {
  const steps = [...PROBABILITY_STEPS, null].map(
    (_, step) => `<li><span class="swatch p${step}"></span>${stepWords(step)}</li>`,
  );
  return `<ul class="legend" aria-label="Colours of probabilities">${steps.join('')}<li><span class="swatch prompt unscored"></span>underlined: the prompt</li></ul>`;
}

export function tokenTable(record: RunRecord): string {
  const head = [
    'Position',
    'Token',
    'Id',
    'Bytes',
    'Probability',
    'Likeliest',
    'Time',
    'Time without the cache',
    'Keys and values',
  ];
  const rows = tokensOf(record).map((token, position) => tokenRow(record, token, position));
  return `<table class="wide"><caption>All tokens by position</caption>
<thead><tr>${head.map((title) => `<th scope="col">${title}</th>`).join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`;
}

function tokenRow(record: RunRecord, token: ReportToken, position: number): string {
  const step = record.steps[position - record.report.prompt_ids.length];
  const cells = [
    piecesMarkup(tokenPieces(token, LONGEST.cell)),
    String(token.id),
    token.bytes.length > LONGEST.cell ? `${token.bytes.length} bytes` : hexBytes(token.bytes),
    exactly(probability(token.logprob)),
    (token.top ?? []).map(rivalMarkup).join(', '),
    step === undefined ? '–' : exactly(milliseconds(step.cachedMs)),
    step === undefined ? '–' : exactly(milliseconds(step.uncachedMs)),
    keptWords(record, position),
  ];
  return `<tr><th scope="row">${position}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function rivalMarkup(rival: RivalToken): string {
  return `${piecesMarkup(tokenPieces(rival, LONGEST.title))}&nbsp;${exactly(probability(rival.logprob))}`;
}

function keptWords(record: RunRecord, position: number): string {
  const { enabled, positions } = record.report.cache;
  if (position >= positions) {
    return enabled ? 'never run' : 'not kept';
  }
  return originWords(originOf(cachedRun(record), position));
}

/** A rounded number with its exact value beside it. */
export function exactly({ words, exact }: Said): string {
  return `<span class="number" title="${escapeMarkup(exact)}">${escapeMarkup(words)}</span>`;
}
