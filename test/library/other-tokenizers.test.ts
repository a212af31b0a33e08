// Texts of models whose tokenizers are no byte-level BPE: what arrives, token by token, is what the text of all ids has more
// than that of the prompt.

import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { generate, loadModel } from '../../src/index.js';
import { decodeAll } from '../../src/text/detokenizer.js';
import { randomize, TINY, writeModel } from '../support/model-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const TOKENIZERS = fileURLToPath(new URL('../fixtures/tokenizers', import.meta.url));
const tempDir = tempDirs();

const KINDS: [kind: string, vocabulary: number, end: number][] = [
  ['sp-bpe-llama2', 600, 2],
  ['unigram-t5', 420, 1],
  ['wordpiece-zh', 1933, 8],
];

describe.each(KINDS)('%s', (kind, vocab_size, eos_token_id) => {
  async function load() {
    const dir = tempDir();
    cpSync(`${TOKENIZERS}/${kind}`, dir, { recursive: true });
    const config = { ...TINY, vocab_size, eos_token_id, n_positions: 100 };
    return loadModel(writeModel(dir, { config, tensors: randomize(config) }), { backend: 'simd', threads: 1 });
  }

  it.each(['Hello 你', 'Hi\n', '春'])('goes on from %j', async (prompt) => {
    const model = await load();
    const tokenizer = model.tokenizer as NonNullable<typeof model.tokenizer>;
    const shown = (ids: readonly number[]) =>
      decodeAll(
        tokenizer,
        ids.filter((id) => !tokenizer.isSpecial(id)),
      );
    const running = generate(model, prompt, { seed: 3, maxTokens: 40, ignoreEos: true, temperature: 1 });
    const texts: string[] = [];
    let next = await running.next();
    for (; !next.done; next = await running.next()) {
      texts.push(next.value.text);
    }
    const { text, tokens, promptIds } = next.value;
    const ids = [...promptIds, ...tokens.map(({ id }) => id)];
    expect(tokens).toHaveLength(40);
    expect(texts.join('')).toBe(text);
    expect(shown(promptIds) + text).toBe(shown(ids));
    model.dispose();
  });

  it('a stop string that lies in several tokens ends it, and what is held back comes at the end', async () => {
    const model = await load();
    const options = { seed: 3, maxTokens: 40, ignoreEos: true, temperature: 1 };
    const textOf = async (stop: string[]) => {
      const running = generate(model, 'Hello 你', { ...options, stop });
      let next = await running.next();
      while (!next.done) {
        next = await running.next();
      }
      return next.value;
    };
    const { text } = await textOf([]);
    const stop = text.slice(8, 13);
    expect(await textOf([stop])).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finishReason: 'stop' });
    model.dispose();
  });
});
