// Reads a run's record that --record wrote, or somebody else: all that a page is drawn from is checked, so that nothing but a record
// comes further. The form is in docs/run-record.md.

import { errorMessage, KvgenError, shown } from '../errors.js';
import type { ReportToken, RunRecord } from './run-record.js';

/** What is wrong with a value, and where in it. */
interface Problem {
  readonly path: string;
  readonly expected: string;
  readonly found: unknown;
}

/** undefined: nothing is wrong. */
type Check = (value: unknown) => Problem | undefined;

/** How far from 1 the weights of a row may sum up to. */
const TOLERANCE = 1e-3;

/**
 * @param where what messages call the record
 * @throws KvgenError that names the first thing that is wrong
 */
export function readRecord(text: string, where: string): RunRecord {
  const value = parsed(text, where);
  const problem = RECORD(value) ?? inconsistency(value as RunRecord);
  if (problem !== undefined) {
    const { path, expected, found } = problem;
    const place = path === '' ? '' : ` ${path}:`;
    throw new KvgenError(`${where}:${place} expected ${expected}, found ${shown(found)}; record the run again`);
  }
  return value as RunRecord;
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KvgenError(`${where}: no whole record of a run (${errorMessage(error)}); record the run again`);
  }
}

function wrong(expected: string, found: unknown, path = ''): Problem {
  return { path, expected, found };
}

const string: Check = (value) => (typeof value === 'string' ? undefined : wrong('a text', value));
const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : wrong('true or false', value));

function number(min: number, max = Number.MAX_SAFE_INTEGER): Check {
  return (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? undefined
      : wrong(`a number from ${min} to ${max}`, value);
}

function whole(min: number, max = Number.MAX_SAFE_INTEGER): Check {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : wrong(`a whole number from ${min} to ${max}`, value);
}

function exactly(...values: readonly unknown[]): Check {
  return (value) => (values.includes(value) ? undefined : wrong(values.map(shown).join(' or '), value));
}

function orNull(check: Check): Check {
  return (value) => (value === null ? undefined : check(value));
}

function optional(check: Check): Check {
  return (value) => (value === undefined ? undefined : check(value));
}

function listOf(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) {
      return wrong('a list', value);
    }
    for (const [i, member] of value.entries()) {
      const problem = check(member);
      if (problem !== undefined) {
        return { ...problem, path: `[${i}]${joined(problem.path)}` };
      }
    }
    return undefined;
  };
}

/** It may have other fields too. */
function shape(fields: Readonly<Record<string, Check>>): Check {
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return wrong('an object', value);
    }
    for (const [name, check] of Object.entries(fields)) {
      const problem = check(Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined);
      if (problem !== undefined) {
        return { ...problem, path: `${name}${joined(problem.path)}` };
      }
    }
    return undefined;
  };
}

function joined(path: string): string {
  return path === '' || path.startsWith('[') ? path : `.${path}`;
}

const ms = number(0);
const logprob = number(-Number.MAX_VALUE, TOLERANCE);
const bytes = listOf(whole(0, 255));
const token = shape({
  id: whole(0),
  text: string,
  bytes,
  logprob: orNull(logprob),
  top: optional(listOf(shape({ id: whole(0), text: string, bytes: optional(bytes), logprob }))),
});

const report = shape({
  model: string,
  backend: string,
  engine: string,
  threads: whole(1),
  prompt: string,
  text: string,
  finish_reason: string,
  seed: whole(0),
  prompt_ids: listOf(whole(0)),
  ids: listOf(whole(0)),
  prompt_tokens: whole(1),
  generation_tokens: whole(0),
  load_ms: ms,
  prompt_ms: orNull(ms),
  first_token_ms: orNull(ms),
  decode_ms: orNull(ms),
  prompt_tps: orNull(ms),
  generation_tps: orNull(ms),
  cache: shape({ enabled: boolean, positions: whole(0), bytes: whole(0) }),
  tokens: listOf(token),
  prompt_tokens_detail: listOf(token),
});

const model = shape({
  modelType: string,
  nLayer: whole(1, 10_000),
  nHead: whole(1, 10_000),
  nKvHead: whole(1, 10_000),
  headDim: whole(1, 100_000),
  nCtx: whole(1),
  bytesPerPosition: whole(1),
});

const part = shape({ from: whole(0), to: whole(1), source: exactly('disk', 'memory', 'computed'), ms });

/** What a row holds is checked with the position that it is of. */
const row: Check = (value) =>
  Array.isArray(value) || (typeof value === 'object' && value !== null) ? undefined : wrong('a row of weights', value);

const RECORD = shape({
  format: exactly('kvgen-run'),
  version: exactly(1),
  report,
  model,
  prefill: listOf(part),
  steps: listOf(shape({ cachedMs: orNull(ms), uncachedMs: orNull(ms) })),
  attention: orNull(shape({ layers: listOf(listOf(listOf(row))) })),
  attentionMissing: optional(string),
});

/** Parts of a record that do not go together. */
function inconsistency(record: RunRecord): Problem | undefined {
  const { report, steps } = record;
  const [prompt, generated] = [report.prompt_ids.length, report.ids.length];
  return (
    count('report.prompt_tokens', report.prompt_tokens, prompt) ??
    count('report.prompt_tokens_detail', report.prompt_tokens_detail.length, prompt) ??
    count('report.tokens', report.tokens.length, generated) ??
    count('report.generation_tokens', report.generation_tokens, generated) ??
    count('steps', steps.length, generated) ??
    otherTokens('prompt_tokens_detail', report.prompt_tokens_detail, report.prompt_ids) ??
    otherTokens('tokens', report.tokens, report.ids) ??
    badCache(record) ??
    badParts(record) ??
    badAttention(record)
  );
}

function count(path: string, found: number, expected: number): Problem | undefined {
  return found === expected ? undefined : wrong(`${expected} of them, one for each id`, found, path);
}

/** What is told of tokens is of these ids, and no probabilities of one place are more than 1 together. */
function otherTokens(name: string, tokens: readonly ReportToken[], ids: readonly number[]): Problem | undefined {
  for (const [i, { id, top = [] }] of tokens.entries()) {
    if (id !== ids[i]) {
      return wrong(`${ids[i]}, as in the ids`, id, `report.${name}[${i}].id`);
    }
    const sum = top.reduce((all, { logprob }) => all + Math.exp(logprob), 0);
    if (sum > 1 + TOLERANCE) {
      return wrong('probabilities that sum to 1 at most', sum, `report.${name}[${i}].top`);
    }
  }
  return undefined;
}

/** The cache has room for the text, and holds no more than it. */
function badCache({ report, model }: RunRecord): Problem | undefined {
  const { positions, bytes } = report.cache;
  const tokens = report.prompt_ids.length + report.ids.length;
  if (tokens > model.nCtx) {
    return wrong(`room for ${tokens} tokens`, model.nCtx, 'model.nCtx');
  }
  if (positions > tokens) {
    return wrong(`${tokens} at most, the tokens of the text`, positions, 'report.cache.positions');
  }
  const expected = positions * model.bytesPerPosition;
  return bytes === expected ? undefined : wrong(`${expected}, of ${positions} positions`, bytes, 'report.cache.bytes');
}

/** An interrupted prefill may have filled fewer positions than the prompt has; nothing is generated then. */
function badParts({ prefill, report }: RunRecord): Problem | undefined {
  let end = 0;
  for (const [i, { from, to }] of prefill.entries()) {
    if (from !== end || to <= from || to > report.prompt_ids.length) {
      return wrong(`positions from ${end} on, within the prompt`, [from, to], `prefill[${i}]`);
    }
    end = to;
  }
  const prompt = report.prompt_ids.length;
  return report.ids.length > 0 && end < prompt ? wrong(`positions up to ${prompt}`, end, 'prefill') : undefined;
}

function badAttention({ attention, model, report }: RunRecord): Problem | undefined {
  if (attention === null) {
    return undefined;
  }
  const positions = report.prompt_ids.length + report.ids.length;
  const { layers } = attention;
  const rows = layers[0]?.[0]?.length ?? 0;
  if (layers.length !== model.nLayer) {
    return wrong(`${model.nLayer} layers`, layers.length, 'attention.layers');
  }
  for (const [i, heads] of layers.entries()) {
    const path = `attention.layers[${i}]`;
    if (heads.length !== model.nHead) {
      return wrong(`${model.nHead} heads`, heads.length, path);
    }
    for (const [head, own] of heads.entries()) {
      if (own.length !== rows || rows > positions) {
        return wrong(`${Math.min(rows, positions)} rows`, own.length, `${path}[${head}]`);
      }
      const bad = own.findIndex((row, t) => !isRow(row, t));
      if (bad >= 0) {
        return wrong(`weights of positions 0 to ${bad} that sum to 1`, own[bad], `${path}[${head}][${bad}]`);
      }
    }
  }
  return undefined;
}

/** Does it hold the weights of positions 0 … t, or the largest of them in order and the sum of the others? */
function isRow(row: unknown, t: number): boolean {
  if (Array.isArray(row)) {
    return row.length === t + 1 && isOne(row);
  }
  const { top, rest } = row as { top?: unknown; rest?: unknown };
  if (!Array.isArray(top) || top.length > t + 1) {
    return false;
  }
  let last = -1;
  for (const pair of top) {
    if (!Array.isArray(pair) || pair.length !== 2 || !Number.isSafeInteger(pair[0]) || pair[0] <= last || pair[0] > t) {
      return false;
    }
    last = pair[0];
  }
  return isOne([...top.map(([, weight]) => weight), rest]);
}

function isOne(weights: readonly unknown[]): boolean {
  let sum = 0;
  for (const weight of weights) {
    if (typeof weight !== 'number' || !(weight >= 0)) {
      return false;
    }
    sum += weight;
  }
  return Math.abs(sum - 1) <= TOLERANCE;
}
