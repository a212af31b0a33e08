// The checkpoint of nanoGPT's train.py, ckpt.pt: a dict with the model, what it was made with (model_args), and the state of
// the training, which is passed over. Knows nothing of the format of the file. Reference: train.py and model.py of
// karpathy/nanoGPT: LayerNorm with 1e-5, the exact GELU, the embedding as head, Linear weights as [out, in].

import { KvgenError } from '../errors.js';
import { stateDict, type TorchTensors } from './torch-file.js';
import { TorchTensor } from './torch-objects.js';
import { shownKeys, shownObject } from './unpickle.js';

export const CHECKPOINT_NAME = 'ckpt.pt';

/** Hugging Face keeps these as [in, out]. */
const LINEAR = /(^|\.)h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$/;
/** What config.json calls each. */
const SIZES = {
  n_layer: 'n_layer',
  n_head: 'n_head',
  n_embd: 'n_embd',
  block_size: 'n_positions',
  vocab_size: 'vocab_size',
} as const;

/** What a config.json of this model would say. @throws KvgenError for a checkpoint of another kind */
export function nanoGptConfig(root: unknown, path: string): Record<string, unknown> {
  const args = partOf(root, 'model_args', path);
  const sizes = Object.entries(SIZES).map(([name, key]) => {
    const value = args.get(name);
    if (typeof value !== 'number') {
      throw new KvgenError(`${path}: model_args: ${name}: expected a number, found ${shownObject(value)}`);
    }
    return [key, value] as const;
  });
  const config = Object.fromEntries(sizes);
  return {
    ...config,
    model_type: 'gpt2',
    activation_function: 'gelu',
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
  };
}

/** The tensors of the model, by their names in the checkpoint, in the shapes of Hugging Face. */
export function nanoGptTensors(root: unknown, path: string): TorchTensors {
  const tensors = stateDict(partOf(root, 'model', path), path);
  if (partOf(root, 'model_args', path).get('bias') === true) {
    checkBiases(tensors, path);
  }
  return new Map([...tensors].map(([name, tensor]) => [name, LINEAR.test(name) ? transposed(tensor) : tensor]));
}

/** @throws KvgenError where a bias is missing that the model was trained with: without it the text would be another */
function checkBiases(tensors: TorchTensors, path: string): void {
  for (const name of tensors.keys()) {
    const bias = name.replace(/(\.h\.\d+\..*|\.ln_f)\.weight$/, '$1.bias');
    if (!tensors.has(bias)) {
      throw new KvgenError(
        `${path}: ${bias}: not found, while model_args says bias: True; save all of model.state_dict() again`,
      );
    }
  }
}

function partOf(root: unknown, key: 'model' | 'model_args', path: string): Map<unknown, unknown> {
  const parts: ReadonlyMap<unknown, unknown> = root instanceof Map ? root : new Map();
  const part = parts.get(key);
  if (!(part instanceof Map)) {
    const isStateDict = [...parts.values()].some((value) => value instanceof TorchTensor);
    const found = isStateDict ? 'a dict of tensors' : shownKeys(parts);
    const help = `${isStateDict ? 'rename it to' : 'save model.state_dict() as'} pytorch_model.bin, beside a config.json`;
    throw new KvgenError(
      `${path}: expected a checkpoint of nanoGPT with model and model_args, found ${found}; ${help}`,
    );
  }
  return part;
}

function transposed(tensor: TorchTensor): TorchTensor {
  return new TorchTensor({ ...tensor, shape: tensor.shape.toReversed(), strides: tensor.strides.toReversed() });
}
