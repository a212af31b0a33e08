// The object of --json: its fields, what they mean, and that they agree with each other.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { BYTES } from '../folders.js';
import { kvgenJsonHere as kvgenJson } from '../here.js';

const { n_layer, n_embd } = JSON.parse(readFileSync('models/stories/config.json', 'utf8'));
const PROMPT = 'Once upon a time';
const SAMPLED = ['--seed', '7', '-n', '12', '--ignore-eos', '--verbose', PROMPT];

// biome-ignore lint/suspicious/noExplicitAny: what is checked is what it is
type Json = any;

describe('--json of a cached run', () => {
  let json: Json;
  let stdout: string;
  let stderr: string;
  beforeAll(async () => {
    ({ json, stdout, stderr } = await kvgenJson(SAMPLED));
  });

  it('is one object on one line with these fields, in this order', () => {
    expect(stdout).toMatch(/^\{[^\n]*\}\n$/);
    const fields =
      'model backend engine threads weights prompt text finish_reason seed prompt_ids ids prompt_tokens generation_tokens ' +
      'load_ms prompt_ms first_token_ms decode_ms prompt_tps generation_tps cache answer_cached num_tensors peak_rss_bytes';
    expect(Object.keys(json).join(' ')).toBe(fields);
  });

  it('says what ran', () => {
    expect(json).toMatchObject({
      model: 'stories',
      weights: 'float32',
      prompt: PROMPT,
      finish_reason: 'length',
      seed: 7,
    });
    expect(['node', 'simd']).toContain(json.backend);
    expect(['eager', 'graph']).toContain(json.engine);
    expect(json.threads).toBeGreaterThanOrEqual(1);
    expect(stderr).toContain(' · seed 7\n'); // --verbose goes with it, on stderr
  });

  it('counts the ids', () => {
    expect(json.prompt_ids).toEqual([481, 480, 259, 423]);
    expect(json.prompt_tokens).toBe(4);
    expect(json.ids).toHaveLength(12);
    expect(json.generation_tokens).toBe(12);
  });

  it('has times in order and rates that follow from them', () => {
    expect(json.load_ms).toBeGreaterThan(0);
    expect(json.prompt_ms).toBeGreaterThan(0);
    expect(json.first_token_ms).toBeGreaterThanOrEqual(json.prompt_ms);
    expect(json.decode_ms).toBeGreaterThan(0);
    expect(json.prompt_tps / ((1000 * 4) / json.prompt_ms)).toBeCloseTo(1, 1);
    expect(json.generation_tps / ((1000 * 11) / json.decode_ms)).toBeCloseTo(1, 1);
  });

  it('measures the cache: prompt + generated − 1 positions of keys and values in float32', () => {
    const positions = 4 + 12 - 1;
    expect(json.cache).toMatchObject({ enabled: true, positions, bytes: 2 * n_layer * n_embd * 4 * positions });
  });

  it('has as many tensors after the last token as after the first', () => {
    const [first, last] = json.num_tensors;
    expect(first).toBeGreaterThan(0);
    expect(last).toBe(first);
    expect(json.peak_rss_bytes).toBeGreaterThan(50e6);
  });

  it('is the same text without the cache, whose numbers are then false, 0, 0', async () => {
    const uncached = await kvgenJson(['--no-cache', ...SAMPLED]);
    expect(uncached.json).toMatchObject({ ids: json.ids, text: json.text, engine: 'eager' });
    expect(uncached.json.cache).toMatchObject({ enabled: false, positions: 0, bytes: 0 });
    expect(uncached.json.num_tensors[0]).toBe(uncached.json.num_tensors[1]);
  });
});

describe('on each backend', () => {
  it.each(['node', 'cpu'])('%s gives the same ids', async (backend) => {
    const { json } = await kvgenJson(['--backend', backend, '--temp', '0', '-n', '4', PROMPT]);
    expect(json).toMatchObject({ backend, ids: [12, 417, 290, 259], text: ', there was a' });
    expect(json.threads === 1 || backend === 'node').toBe(true);
  });

  it('--threads is reported', async () => {
    const { json } = await kvgenJson(['--backend', 'node', '--threads', '1', '-n', '0', PROMPT]);
    expect(json).toMatchObject({ backend: 'node', threads: 1 });
  });

  it('what the environment gives TensorFlow is reported, whatever --threads says', async () => {
    const env = { TF_NUM_INTEROP_THREADS: '1' };
    const { json } = await kvgenJson(['--backend', 'node', '--threads', '2', '-n', '0', PROMPT], { env });
    expect(json).toMatchObject({ backend: 'node', threads: 1 });
  });
});

describe('what was not measured is null', () => {
  const noise = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos', '--seed', '1'];

  it('with no token', async () => {
    const { json } = await kvgenJson([...noise, '-n', '0', 'xy']);
    expect(json).toMatchObject({ first_token_ms: null, decode_ms: null, generation_tps: null, num_tensors: null });
    expect(json.prompt_ms).toBeGreaterThanOrEqual(0);
    expect(json.cache).toMatchObject({ enabled: true, positions: 2, bytes: 2 * 1 * 16 * 4 * 2 });
  });

  it('with one token: no rate, and 0 ms from the first to the last', async () => {
    const { json } = await kvgenJson([...noise, '-n', '1', 'xy']);
    expect(json).toMatchObject({ decode_ms: 0, generation_tps: null, generation_tokens: 1 });
    expect(json.cache.positions).toBe(2);
  });
});

it('the model is named as it was asked for, a folder by its own name', async () => {
  const { json } = await kvgenJson(['-m', `${BYTES}/`, '--backend', 'cpu', '-n', '0', 'x']);
  expect(json.model).toBe('padded-vocab');
});
