// What a folder holds that is no model, or none that is read: so that a refusal says what was found and what helps, instead of
// what is missing alone. Looks at names, and at the first bytes of .bin files. Knows nothing of how models are read.

import { join } from 'node:path';
import { KvgenError, shown } from '../errors.js';
import { WEIGHTS } from '../files/file-kinds.js';
import { exists, isFolder, look, namesIn } from '../files/look.js';
import type { ModelFolder } from '../files/model-folder.js';
import { openFile } from '../files/open-file.js';

/** Something that is not read, by the name of a file or a folder. */
interface Kind {
  readonly name: RegExp;
  readonly what: string;
  /** What to do about it. */
  readonly help: string;
}

const PULL = '`kvgen pull OWNER/NAME` fetches a model that is read';
/** Later versions have the option and fail (4.57.6). */
const convert = (option: string) =>
  `transformers 4.48 converts it: GPT2LMHeadModel.from_pretrained(DIR, ${option}).save_pretrained(OUT)`;

/** The first that fits is named: parts of a training run come before the files that other programs read. */
const KINDS: readonly Kind[] = [
  {
    name: /^(model\.safetensors|pytorch_model\.bin)(\.index\.json)?$/,
    what: 'weights without the config.json that says their sizes',
    help: 'copy that of the model that they were made from',
  },
  { name: /\.gguf$/i, what: 'a GGUF file', help: 'name it alone: -m DIR/NAME.gguf' },
  { name: /^ggml.*\.bin$/i, what: 'GGML, which is not read', help: PULL },
  {
    name: /^(global_step\d+|zero_to_fp32\.py)$/,
    what: 'a checkpoint of DeepSpeed in the middle of training',
    help: '`python zero_to_fp32.py . OUT` in it writes the weights for pytorch_model.bin',
  },
  {
    name: /\.distcp$|^pytorch_model_fsdp_\d+$/,
    what: 'a distributed checkpoint (FSDP) in the middle of training',
    help: '`accelerate merge-weights DIR OUT`, of the folder with the .distcp files, makes model.safetensors',
  },
  {
    name: /^(mp_rank_\d+(_\d+)?|model_optim_rng\.pt|latest_checkpointed_iteration\.txt)$/,
    what: 'a checkpoint of Megatron',
    help: 'transformers 4 converts it: python -m transformers.models.megatron_gpt2.checkpoint_reshaping_and_interoperability',
  },
  { name: /\.ckpt(-\d+)?\.(index|meta|data-\d+-of-\d+)$/, what: 'a checkpoint of TensorFlow 1', help: PULL },
  {
    name: /^tf_model(-\d+-of-\d+)?\.h5(\.index\.json)?$/,
    what: 'weights of TensorFlow',
    help: convert('from_tf=True'),
  },
  { name: /\.(h5|keras)$/, what: 'weights of Keras', help: PULL },
  { name: /^saved_model(\.pb)?$/, what: 'a SavedModel of TensorFlow', help: PULL },
  { name: /^flax_model.*\.msgpack/, what: 'weights of Flax', help: convert('from_flax=True') },
  { name: /\.msgpack$/, what: 'weights of Flax', help: PULL },
  { name: /\.onnx(_data|\.data)?$|^onnx$/, what: 'ONNX', help: PULL },
  { name: /\.ot$/, what: 'weights of rust-bert', help: PULL },
  { name: /\.(mlmodel|mlpackage|mlmodelc)$/, what: 'Core ML', help: PULL },
  { name: /^openvino_.*\.(xml|bin)$/, what: 'OpenVINO', help: PULL },
  { name: /\.tflite$/, what: 'TensorFlow Lite', help: PULL },
  { name: /\.npz$/, what: 'arrays of NumPy or MLX', help: PULL },
  { name: /^model_index\.json$/, what: 'a pipeline of diffusers', help: PULL },
  {
    name: /-\d{5}-of-\d{5}\.safetensors$/,
    what: 'a shard, and no model.safetensors.index.json that says what is in it',
    help: 'fetch the folder again, with the index',
  },
  {
    name: /^adapter_model\.(safetensors|bin)$/,
    what: 'the weights of an adapter, without their adapter_config.json',
    help: 'fetch the folder again, with it',
  },
  {
    name: /^quant(ize)?_config\.json$/,
    what: 'quantized weights (GPTQ or AWQ), which are not computed',
    help: 'name the model that they were made from',
  },
  {
    name: /\.safetensors$/,
    what: 'weights under another name',
    help: 'if these are all weights of the model, rename it to model.safetensors',
  },
  {
    name: /^(optimizer|scheduler|rng_state.*|trainer_state|training_args)\.(pt|pth|bin|json)$/,
    what: 'parts of a checkpoint in the middle of training, without its weights',
    help: 'name a checkpoint with model.safetensors, or save the model again',
  },
  {
    name: /\.(ckpt|pt|pth|bin)$/,
    what: 'weights of PyTorch under another name',
    help: 'rename it to pytorch_model.bin if it is a state dict, beside its config.json, or to ckpt.pt if nanoGPT wrote it',
  },
  {
    name: /^(tokenizer\.json|tokenizer\.model|spiece\.model|vocab\.(json|txt)|merges\.txt)$/,
    what: 'a tokenizer, and no weights',
    help: PULL,
  },
];

/** Files that make a folder a model's. */
export const WEIGHTS_NAMES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'ckpt.pt',
];
/** The first four bytes of files of llm.c, as a little-endian integer. */
const LLM_C = 20240326;

/** The error of a folder that has not what a model needs. @param missing such as `no config.json` */
export async function notAModel(folder: ModelFolder, missing: string): Promise<KvgenError> {
  const { dir } = folder;
  const problems: string[] = [];
  const names = namesIn(dir, (line) => problems.push(line));
  const [problem] = problems;
  if (problem !== undefined) {
    return new KvgenError(`${dir}: ${missing}, and the folder cannot be listed: ${problem}`);
  }
  const found =
    (await fromBytes(folder, names)) ?? repository(dir, names) ?? below(dir, names) ?? known(names) ?? rest(names);
  return new KvgenError(`${dir}: ${missing}: found ${found}`);
}

/** What a file is that was given in place of a folder; undefined: nobody knows. */
export function kindOfFile(name: string): string | undefined {
  const isOfFolder = /\.(safetensors|bin|ckpt|pt|pth|json|txt|model)$/.test(name); // which is looked at more closely
  const kind = isOfFolder ? undefined : KINDS.find((candidate) => candidate.name.test(name));
  return kind === undefined ? undefined : `${kind.what}; ${kind.help}`;
}

function known(names: readonly string[]): string | undefined {
  for (const { name, what, help } of KINDS) {
    const file = names.find((candidate) => name.test(candidate));
    if (file !== undefined) {
      return `${shown(file)}: ${what}; ${help}`;
    }
  }
  return undefined;
}

async function fromBytes(folder: ModelFolder, names: readonly string[]): Promise<string | undefined> {
  for (const name of names.filter((candidate) => candidate.endsWith('.bin')).slice(0, 20)) {
    if ((await firstInteger(folder.path(name), folder.signal)) === LLM_C) {
      const help = "llm.c's dev/eval/export_hf.py makes a folder of it that is read";
      return `${shown(name)}: weights of llm.c; ${help}`;
    }
  }
  return undefined;
}

async function firstInteger(path: string, signal: AbortSignal | undefined): Promise<number | undefined> {
  if (!look(path, () => {})?.isFile()) {
    return undefined;
  }
  const file = await openFile(path, WEIGHTS, signal);
  try {
    const bytes = Buffer.alloc(4);
    return (await file.read(bytes, 0)) === 4 ? bytes.readInt32LE() : undefined;
  } finally {
    await file.close();
  }
}

/** The folder of a model in the Hugging Face cache has the model's files two folders below. */
function repository(dir: string, names: readonly string[]): string | undefined {
  if (names.some((name) => name.startsWith('models--'))) {
    return 'the Hugging Face cache; `kvgen models` lists what is in it';
  }
  if (!names.includes('snapshots')) {
    return undefined;
  }
  const snapshots = join(dir, 'snapshots');
  const child = modelsIn(snapshots).at(-1);
  return child === undefined
    ? `a folder of the Hugging Face cache without a model; ${PULL}`
    : `a folder of the Hugging Face cache; name one of its snapshots: -m ${join(snapshots, child)}`;
}

function below(dir: string, names: readonly string[]): string | undefined {
  const models = modelsIn(dir);
  const [last] = models.slice(-1);
  if (last === undefined) {
    return undefined;
  }
  const others = models.length === 1 ? '' : ` and ${models.length - 1} more`;
  return `${names.length === 1 ? 'only ' : ''}the model ${shown(last)}${others} in it; name it: -m ${join(dir, last)}`;
}

/** checkpoint-1000 comes behind checkpoint-500. */
function modelsIn(dir: string): string[] {
  const isModel = (name: string) => {
    const child = join(dir, name);
    const has = (file: string) => exists(join(child, file));
    return (
      isFolder(child, () => {}) &&
      (has('adapter_config.json') ||
        has('ckpt.pt') ||
        (has('config.json') && WEIGHTS_NAMES.some(has)) ||
        namesIn(child, () => {}).some((file) => /\.gguf$/i.test(file)))
    );
  };
  const { compare } = new Intl.Collator('en', { numeric: true });
  return namesIn(dir, () => {})
    .filter(isModel)
    .sort(compare);
}

function rest(names: readonly string[]): string {
  if (names.length === 0) {
    return `nothing, the folder is empty; ${PULL}`;
  }
  const some = names.slice(0, 4).map((name) => shown(name));
  const more = names.length > some.length ? ', …' : '';
  return `${some.join(', ')}${more}; a model folder holds config.json, model.safetensors and a tokenizer`;
}
