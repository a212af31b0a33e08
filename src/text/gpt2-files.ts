// What tokenizer.json would say, made from GPT-2's vocab.json and merges.txt.
// Reference: `GPT2Converter` of transformers' convert_slow_tokenizer.py.

import { JsonPart, parseJson } from './json-part.js';
import type { TextFile, TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerParts, TokenizerSettings } from './tokenizer-parts.js';

export function fromGpt2Files(files: TokenizerFiles, { config }: TokenizerSettings): TokenizerParts {
  const { vocab, merges } = files as { vocab: TextFile; merges: TextFile };
  const lines = merges.text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
  const tokens = parseJson(vocab);
  const eos = config.at('eos_token').value;
  const specials = [...new Set(['<|endoftext|>', eos])].filter((token) =>
    Object.hasOwn(tokens.object(), String(token)),
  );
  const added = specials.map((token) => ({ id: tokens.object()[String(token)], content: token, special: true }));
  const part = (value: unknown) => new JsonPart(vocab.path, value);
  return {
    path: vocab.path,
    model: part({ type: 'BPE' }),
    vocab: tokens,
    merges: new JsonPart(merges.path, lines),
    added: part(added),
    normalizer: part(null),
    preTokenizer: part({ type: 'ByteLevel', add_prefix_space: config.at('add_prefix_space').flag(false) }),
    postProcessor: part(null),
    decoder: part({ type: 'ByteLevel' }),
  };
}
