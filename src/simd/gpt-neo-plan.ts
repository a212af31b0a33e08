// GPT-Neo on WebAssembly: memory and forward pass are those of GPT-2 (gpt2-plan.ts, gpt2-pass.ts). Here is where its tensors go, which
// have other names and are stored the other way round. The matrices of queries, keys and values lie behind each other, as in one.

import type { GptNeoConfig } from '../model/gpt-neo-config.js';
import type { Gpt2Plan } from './gpt2-plan.js';
import { type Linear, rowsOf } from './matrix.js';
import { linearPlaces, normPlaces, vectorPlace, vocabularyPlace } from './places.js';
import type { Place, Spread } from './simd-model.js';

export function placesOfGptNeo(plan: Gpt2Plan, config: GptNeoConfig): Map<string, Place> {
  const { widths, wte, wpe, h, ln_f } = plan;
  const C: Spread = { group: config.nEmbd, padded: widths.C };
  const heads: Spread = { group: config.headDim, padded: widths.headDim };
  const inner: Spread = { group: config.nInner, padded: widths.inner };
  return new Map([
    ['wte.weight', vocabularyPlace(wte, config)],
    ['wpe.weight', vectorPlace(wpe, C)],
    ...h.flatMap(({ ln_1, attn, ln_2, mlp }, i) => [
      ...normPlaces(`h.${i}.ln_1`, ln_1, C),
      ...['q_proj', 'k_proj', 'v_proj'].flatMap((part, n) => {
        const rows: Linear = { ...rowsOf(attn.c_attn, n * widths.heads, widths.heads), bias: 0 };
        return linearPlaces(`h.${i}.attn.attention.${part}`, rows, C, heads);
      }),
      ...linearPlaces(`h.${i}.attn.attention.out_proj`, attn.c_proj, heads, C),
      ...normPlaces(`h.${i}.ln_2`, ln_2, C),
      ...linearPlaces(`h.${i}.mlp.c_fc`, mlp.c_fc, C, inner),
      ...linearPlaces(`h.${i}.mlp.c_proj`, mlp.c_proj, inner, C),
    ]),
    ...normPlaces('ln_f', ln_f, C),
  ]);
}
