// Normalizers, pre-tokenizers, decoders and options of models in random order: ids and texts that Hugging Face's tokenizers
// give for the same tokenizer.json.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { decodeAll } from '../../src/text/detokenizer.js';
import { openTokenizer } from '../../src/text/tokenizer.js';

const ROOT = fileURLToPath(new URL('../fixtures/tokenizers', import.meta.url));
const jsonOf = (name: string) => JSON.parse(readFileSync(`${ROOT}/${name}`, 'utf8'));

interface Parts {
  /** Whose vocabulary it has. */
  readonly of: string;
  readonly normalizers: readonly { readonly type: string }[];
  readonly pretokenizers: readonly object[];
  readonly decoder: object | null;
  readonly model: object;
  readonly added: object;
  readonly cases: readonly (readonly [text: string, ids: number[], others: number[], decoded: string])[];
}

const CHARSMAP = jsonOf('unigram-t5/tokenizer.json').normalizer.normalizers[0];

function tokenizerJson({ of, normalizers, pretokenizers, decoder, model, added }: Parts): string {
  const whole = jsonOf(`${of}/tokenizer.json`);
  const own = normalizers.map((part) => (part.type === 'Precompiled' ? CHARSMAP : part));
  return JSON.stringify({
    ...whole,
    model: { ...whole.model, ...model },
    added_tokens: [...whole.added_tokens, added],
    normalizer: { type: 'Sequence', normalizers: own },
    pre_tokenizer: { type: 'Sequence', pretokenizers },
    decoder,
    post_processor: null,
  });
}

const all = (jsonOf('parts.json') as { tokenizers: Parts[] }).tokenizers;

it.each(all.map((parts, i): [number, string, Parts] => [i, parts.of, parts]))('%s: %s', async (_, __, parts) => {
  const tokenizer = await openTokenizer({ tokenizer: { path: 'tokenizer.json', text: tokenizerJson(parts) } });
  for (const [text, ids, others, decoded] of parts.cases) {
    expect(await tokenizer.encode(text), text).toEqual(ids);
    expect(decodeAll(tokenizer, others)).toBe(decoded);
  }
  tokenizer.dispose();
});
