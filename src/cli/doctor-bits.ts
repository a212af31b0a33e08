// `kvgen doctor --bits`: hashes of what the simd engine computes from a model, to be compared with those of another machine
// (docs/determinism.md has a table for stories). Equal hashes mean equal bits of every logit and every text.

import { createHash, type Hash } from 'node:crypto';
import { WEIGHTS } from '../backends.js';
import { KvgenError, UsageError } from '../errors.js';
import { lastOf } from '../generation/prefill.js';
import { generate } from '../library/generate-text.js';
import { folderSource, type Model, openModel } from '../library/model.js';
import { argmax } from '../sampling/scan.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { findModel } from '../weights/find.js';
import type { DoctorArgs } from './shell/command-settings.js';
import type { Terminal } from './shell/terminal.js';

const PROMPT = 'Once upon a time';
/** Tokens of each text, and steps whose logits are hashed. */
const TOKENS = 200;
const SEEDS = 20;

/** What was hashed, and its SHA-256. */
type Bits = readonly [what: string, sha256: string];

/**
 * Both forms of the weights, unless one is asked for or stored. The threads change no bit.
 * @throws UsageError for another backend
 */
export async function printBits(
  terminal: Terminal,
  { model: name, backend, threads, weights }: DoctorArgs,
): Promise<void> {
  if (backend !== 'auto' && backend !== 'simd') {
    throw new UsageError(`--bits cannot go with --backend ${backend}: only simd gives the same bits everywhere`);
  }
  const source = await folderSource(findModel(name));
  const stored = source.stored === 'int8' ? (['int8'] as const) : WEIGHTS;
  for (const form of weights === undefined ? stored : [weights]) {
    const model = await openModel(source, { backend: 'simd', weights: form, threads });
    try {
      for (const [what, sha256] of await bitsOf(model)) {
        await terminal.print(`${form.padEnd(8)} ${what.padEnd(26)} ${sha256}`);
      }
    } finally {
      model.dispose();
    }
  }
}

async function bitsOf(model: Model): Promise<Bits[]> {
  if (model.tokenizer === null) {
    throw new KvgenError(`${model.dir}: --bits needs a tokenizer, and the folder has none`);
  }
  const sampled = createHash('sha256');
  for (let seed = 0; seed < SEEDS; seed++) {
    sampled.update(`${await textOf(model, { seed })}\0`);
  }
  const greedy = createHash('sha256').update(await textOf(model, { temperature: 0 }));
  return [
    [`logits of ${TOKENS} steps`, (await hashLogits(model)).digest('hex')],
    ['the greedy text', greedy.digest('hex')],
    [`texts of the seeds 0 to ${SEEDS - 1}`, sampled.digest('hex')],
  ];
}

async function textOf(model: Model, options: { seed?: number; temperature?: number }): Promise<string> {
  let all = '';
  for await (const { text } of generate(model, PROMPT, {
    ...options,
    maxTokens: TOKENS,
    ignoreEos: true,
    special: true,
  })) {
    all += text;
  }
  return all;
}

/** The logits behind the prompt and behind each of its likeliest continuations, float32, little-endian. */
async function hashLogits({ engine, tokenizer }: Model): Promise<Hash> {
  const hash = createHash('sha256');
  const cache = engine.newCache();
  let ids = await (tokenizer as Tokenizer).encode(PROMPT);
  for (let step = 0; step < TOKENS; step++) {
    const [logits = new Float32Array()] = engine.forward(lastOf(ids), cache);
    hash.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    ids = [argmax(logits)];
  }
  cache.dispose();
  return hash;
}
