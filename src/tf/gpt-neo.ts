// GPT-Neo on TF.js: the forward pass of GPT-2 with other names of its weights. What differs, unscaled scores and layers with a window,
// is in the config. Reference: transformers modeling_gpt_neo.py.

import type { Tensor } from '@tensorflow/tfjs-core';
import { GPT_NEO, type GptNeoConfig } from '../model/gpt-neo-config.js';
import { forward, type Gpt2Weights } from './gpt2.js';
import { OwnWeights } from './own-weights.js';
import type { TfModel } from './tf-model.js';

/** Makes the model of these tensors, and owns them from here on. */
export function gptNeoModel(config: GptNeoConfig, tensors: ReadonlyMap<string, Tensor>): TfModel {
  const own = new OwnWeights(tensors);
  const weights = assemble(config, own);
  return {
    parameters: own.parameters,
    window: Math.max(...config.windows),
    forward: (inputs, past) => forward(config, weights, inputs, past),
  };
}

function assemble({ nLayer }: GptNeoConfig, own: OwnWeights): Gpt2Weights {
  const { embedding, head } = GPT_NEO.vocabulary;
  return {
    wte: own.matrix(embedding),
    wpe: own.matrix('wpe.weight'),
    h: Array.from({ length: nLayer }, (_, i) => {
      const attention = (part: string) => `h.${i}.attn.attention.${part}_proj`;
      return {
        ln_1: own.layerNorm(`h.${i}.ln_1`),
        attn: {
          c_attn: own.linear(attention('q'), attention('k'), attention('v')),
          c_proj: own.linear(attention('out')),
        },
        ln_2: own.layerNorm(`h.${i}.ln_2`),
        mlp: { c_fc: own.linear(`h.${i}.mlp.c_fc`), c_proj: own.linear(`h.${i}.mlp.c_proj`) },
      };
    }),
    ln_f: own.layerNorm('ln_f'),
    lm_head: own.outputMatrix(embedding, head),
  };
}
