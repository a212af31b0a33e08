// The two ends of every forward pass on WebAssembly: ids become vectors, and vectors become logits. Knows nothing of what an
// architecture does in between.
//
// Shapes: T tokens of any sequences, N wanted ones, C = nEmbd, V = vocabSize; all widths are filled up.

import type { Kernels, Pointer } from './kernels.js';
import { multiply, prepare, type Scratch } from './matrix.js';
import type { ModelPlan, Tokens } from './simd-model.js';
import type { Range } from './thread.js';

interface VocabularyRun {
  readonly plan: ModelPlan & {
    readonly widths: { readonly C: number; readonly V: number };
    readonly buffers: { readonly x: Pointer };
  };
  readonly kernels: Kernels;
  readonly own: Scratch;
  readonly tokens: Tokens;
  /** This thread's rows of the vocabulary. */
  readonly ownV: Range;
}

/**
 * Each thread writes all of x, the same numbers as the others, so that none has to wait for another.
 * @param wpe [nPositions, C], added; 0: none
 */
export function embed({ kernels, plan, tokens }: VocabularyRun, wpe: Pointer): void {
  const { wte, widths, buffers } = plan;
  const { ids, positions, T } = tokens;
  if (wte.scales === 0) {
    kernels.embedFloat32(ids, positions, T, wte.at, wpe, widths.C, buffers.x); // [T, C]
  } else {
    kernels.embedInt8(ids, positions, T, wte.at, wte.scales, wpe, widths.C, buffers.x); // [T, C]
  }
}

/**
 * Only the wanted tokens are multiplied by the vocabulary matrix, the largest of all.
 * @param normalize writes the normalized vector of one token
 */
export function logits(run: VocabularyRun, normalize: (x: Pointer, y: Pointer) => void): void {
  const { plan, kernels, tokens, own, ownV } = run;
  const { lm_head, wanted } = tokens;
  const { C, V } = plan.widths;
  for (const [n, token] of wanted.entries()) {
    normalize(plan.buffers.x + 4 * C * token, own.normed + 4 * C * n); // [N, C]
  }
  const N = wanted.length;
  multiply(kernels, lm_head, 0, prepare(kernels, lm_head, own.normed, N, own), N, plan.logits, V, ownV, 0, own); // [N, V]
}
