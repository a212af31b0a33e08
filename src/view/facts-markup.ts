// The numbers of the whole run, as --json has them: a few large ones for the beginning of the page, and all of them.

import { passOf } from './cache-passes.js';
import { escapeMarkup, piecesMarkup } from './markup.js';
import { byteCount, count, plural, type Said, times } from './number-words.js';
import { cachedRun } from './page-data.js';
import type { RunRecord } from './run-record.js';
import { exactly } from './text-markup.js';
import { visiblePieces } from './visible-text.js';

const LONGEST = 200;

/** What a reader should see first. */
export function headline(record: RunRecord): string {
  const { report } = record;
  const tiles = [
    tile(plain(report.generation_tokens, ''), `tokens written after ${count(report.prompt_tokens)} of prompt`),
    tile(plain(report.generation_tps, ' / s'), 'tokens a second, after the first'),
    report.cache.enabled
      ? tile(byteCount(report.cache.bytes), `keys and values of ${plural(report.cache.positions, 'position')}`)
      : tile({ words: 'off', exact: 'enabled: false' }, 'the cache of keys and values'),
    savedTile(record),
  ];
  return `<ul class="tiles">${tiles.join('')}</ul>`;
}

function savedTile(record: RunRecord): string {
  const { report } = record;
  const last = report.prompt_ids.length + report.ids.length - 1;
  const { cached, uncached } = last < 0 ? { cached: 0, uncached: 0 } : passOf(cachedRun(record), last).total;
  const exact = `${count(cached)} against ${count(uncached)} tokens × layers`;
  const words = cached > 0 ? times(uncached / cached) : '–';
  return tile({ words, exact }, `less to compute ${report.cache.enabled ? 'with the cache' : 'with a cache'}`);
}

function tile(said: Said, words: string): string {
  return `<li><strong>${exactly(said)}</strong><span>${words}</span></li>`;
}

/** A number in the digits of --json. */
function plain(value: number | null, unit: string): Said {
  return value === null
    ? { words: '–', exact: 'not measured' }
    : { words: `${value}${unit}`, exact: `${value}${unit}` };
}

export function factList({ report, model }: RunRecord): string {
  const { cache } = report;
  const facts: readonly (readonly [string, string])[] = [
    ['Model', piecesMarkup(visiblePieces(report.model, LONGEST))],
    ['Kind', piecesMarkup(visiblePieces(model.modelType, LONGEST))],
    ['Layers', String(model.nLayer)],
    ['Heads', headWords(model)],
    ['Context', `${model.nCtx} positions`],
    ['Computed on', escapeMarkup(`${report.backend}, ${report.engine} engine, ${plural(report.threads, 'thread')}`)],
    ['Seed', String(report.seed)],
    ['Ended by', escapeMarkup(report.finish_reason)],
    ['Prompt', `${report.prompt_tokens} tokens`],
    ['Written', `${report.generation_tokens} tokens`],
    ['Loading', exactly(plain(report.load_ms, ' ms'))],
    ['Prefill', exactly(plain(report.prompt_ms, ' ms'))],
    ['First token after', exactly(plain(report.first_token_ms, ' ms'))],
    ['First to last token', exactly(plain(report.decode_ms, ' ms'))],
    ['Prefill speed', exactly(plain(report.prompt_tps, ' tokens/s'))],
    ['Decode speed', exactly(plain(report.generation_tps, ' tokens/s'))],
    ['Cache', cache.enabled ? `${cache.positions} positions, ${cache.bytes} bytes` : 'off'],
    ['A position', `${model.bytesPerPosition} bytes of keys and values`],
  ];
  return `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join('')}</dl>`;
}

function headWords({ nHead, nKvHead, headDim }: RunRecord['model']): string {
  const shared = nKvHead < nHead ? `; keys and values have ${nKvHead}, each shared by ${nHead / nKvHead}` : '';
  return `${nHead}, each of ${headDim} numbers${shared}`;
}
