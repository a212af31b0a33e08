// The thread of tokenizer-thread.ts: makes the tokenizer, and answers each text with its ids.

import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../errors.js';
import { type BuiltTokenizer, buildTokenizer } from './build-tokenizer.js';
import type { TokenizerFiles } from './tokenizer-files.js';
import type { Answer } from './tokenizer-thread.js';

function answer(value: Answer, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(value, transfer);
}

function encode(tokenizer: BuiltTokenizer, text: string): void {
  try {
    const encoded = tokenizer.encode(text);
    const ids = Int32Array.from(encoded.ids);
    answer({ ids, unknown: encoded.unknown }, [ids.buffer]);
  } catch (error) {
    answer({ error: errorMessage(error) });
  }
}

try {
  const tokenizer = await buildTokenizer(workerData as TokenizerFiles);
  const { facts } = tokenizer;
  parentPort?.on('message', (text: string) => encode(tokenizer, text));
  answer({ facts }, [facts.tokens.ends.buffer, facts.tokens.kinds.buffer]);
} catch (error) {
  answer({ error: errorMessage(error) });
}
