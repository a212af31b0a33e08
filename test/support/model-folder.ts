// Writes small GPT-2 folders with random weights, which a test may change before they are written.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { uniform } from '../../src/sampling/random.js';
import { float32, type StoredTensor, writeSafetensors } from './safetensors.js';

export type ConfigJson = Record<string, unknown>;

export const TINY = {
  model_type: 'gpt2',
  vocab_size: 32,
  n_positions: 24,
  n_embd: 8,
  n_layer: 2,
  n_head: 2,
  eos_token_id: 31,
};

/** For `writeModel`: the tensors of another config than the tiny one. */
export function randomize(config: typeof TINY): (tensors: Map<string, StoredTensor>) => void {
  return (tensors) => {
    for (const [name, tensor] of randomTensors(config)) {
      tensors.set(name, tensor);
    }
  };
}

/** All tensors of the config, wide and random, so that a wrong row, layer or position shows. */
export function randomTensors(config: typeof TINY): Map<string, StoredTensor> {
  const { vocab_size: vocab, n_positions: positions, n_embd: C, n_layer: layers } = config;
  let n = 0;
  const tensors = new Map<string, StoredTensor>();
  const add = (name: string, shape: number[], mean = 0) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = Array.from({ length }, () => mean + uniform(7, n++) - 0.5);
    tensors.set(name, float32(shape, values));
  };
  const both = (name: string, shape: number[], mean = 0) => {
    add(`${name}.weight`, shape, mean);
    add(`${name}.bias`, shape.slice(-1));
  };
  add('wte.weight', [vocab, C]);
  add('wpe.weight', [positions, C]);
  for (let i = 0; i < layers; i++) {
    both(`h.${i}.ln_1`, [C], 1);
    both(`h.${i}.attn.c_attn`, [C, 3 * C]);
    both(`h.${i}.attn.c_proj`, [C, C]);
    both(`h.${i}.ln_2`, [C], 1);
    both(`h.${i}.mlp.c_fc`, [C, 4 * C]);
    both(`h.${i}.mlp.c_proj`, [4 * C, C]);
  }
  both('ln_f', [C], 1);
  return tensors;
}

export interface FolderChanges {
  /** Merged into config.json; undefined removes a key. */
  config?: ConfigJson;
  /** Changes the tensors before they are written. */
  tensors?: (tensors: Map<string, StoredTensor>) => void;
}

/** Writes config.json and model.safetensors of the TINY model with these changes; returns `dir`. */
export function writeModel(dir: string, { config, tensors: change }: FolderChanges = {}): string {
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...TINY, ...config }));
  const tensors = randomTensors(TINY);
  change?.(tensors);
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
  return dir;
}
