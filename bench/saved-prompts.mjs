// What a hit of the prompt cache costs: a prompt of 4,000 ids at the size of GPT-2 124M, found and joined (`PromptStore.find`),
// beside what the files alone cost: reading them again and again into the same memory, and once into memory of their own,
// which the system must first clear. Times are processor time, user and system, so that other work adds little. Each number is the best
// of several rounds. The files must be in the memory of the system: put the folder on tmpfs, or run it twice.
//
//     node bench/saved-prompts.mjs [folder]

import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from '../dist/store/crc32.js';
import { PromptStore } from '../dist/store/prompts.js';
import { sealedVault } from '../dist/store/sealed-vault.js';
import { StoreFolder } from '../dist/store/store-folder.js';

const LENGTH = 4000;
const SHAPE = { nLayer: 12, nKvHead: 12, headDim: 64, vocabSize: 50257 };
const ROUNDS = 7;
const ids = Array.from({ length: LENGTH }, (_, i) => (i * 7919) % SHAPE.vocabSize);

for (const [dtype, key] of [['float32'], ['float16'], ['float16', new Uint8Array(32)]]) {
  const path = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'kvgen-bench-'));
  try {
    console.log(JSON.stringify(measure(path, dtype, key)));
  } finally {
    rmSync(path, { recursive: true });
  }
}

function measure(path, dtype, key) {
  const folder = key === undefined ? new StoreFolder(path) : new StoreFolder(path, sealedVault(key, 'prompts'));
  const limits = { maxBytes: 1e12, maxAgeMs: 1e12 };
  const onNote = (line) => {
    throw new Error(line);
  };
  const of = { folder, limits, onNote, fingerprint: 'f'.repeat(64), dtype, shape: SHAPE, model: 'made up' };
  new PromptStore({ ...of, write: true }).keep(computed());
  const files = readdirSync(path).map((file) => join(path, file));
  const scratch = new Uint8Array(4e6);
  const bytes = readFiles(files, () => scratch);
  return {
    dtype,
    sealed: key !== undefined,
    files: files.length,
    mb: Math.round(bytes / 1e5) / 10,
    ms: {
      read: best(() => readFiles(files, () => scratch)),
      read_and_crc: best(() => readFiles(files, () => scratch, crc32)),
      read_apart: best(() => readFiles(files, (size) => new Uint8Array(size))),
      find: best(() => {
        const found = new PromptStore({ ...of, write: false }).find(ids);
        if (found.reused !== LENGTH) {
          throw new Error(`${found.reused} of ${LENGTH} found`);
        }
      }),
    },
  };
}

/** Keys and values of no model, from -8 to 8. */
function computed() {
  let state = 1;
  const side = () =>
    Float32Array.from({ length: SHAPE.nKvHead * LENGTH * SHAPE.headDim }, () => {
      state = (state * 48271) % 2147483647;
      return (state / 2 ** 30 - 1) * 8;
    });
  const layers = Array.from({ length: SHAPE.nLayer }, () => ({ k: side(), v: side() }));
  const { nKvHead, headDim } = SHAPE;
  return {
    ids,
    logits: new Float32Array(SHAPE.vocabSize),
    words: '',
    rowsFrom: () => ({ length: LENGTH, nKvHead, headDim, layers }),
    prefillMs: () => 1,
  };
}

/** @returns how many bytes they have */
function readFiles(files, memory, check = () => {}) {
  const kept = files.map((path) => {
    const file = openSync(path);
    const { size } = fstatSync(file);
    const bytes = memory(size).subarray(0, size);
    readSync(file, bytes, 0, size, 0);
    closeSync(file);
    check(bytes);
    return bytes;
  });
  return kept.reduce((sum, { length }) => sum + length, 0);
}

function best(run) {
  const times = Array.from({ length: ROUNDS }, () => {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.round(Math.min(...times));
}
