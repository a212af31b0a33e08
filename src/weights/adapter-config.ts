// What adapter_config.json of PEFT says: which model the adapter is of, and how much each of its products counts. What would
// change the result and is not computed is refused by name. Knows nothing of the tensors.
// Reference: LoraConfig, and check_target_module_exists, of PEFT 0.17.

import { shown } from '../errors.js';
import { ConfigReader } from '../model/config.js';

export const ADAPTER_CONFIG = 'adapter_config.json';
/** The first that is there is read. */
export const ADAPTER_WEIGHTS = ['adapter_model.safetensors', 'adapter_model.bin'] as const;

/** Of a LoRA adapter. */
export interface AdapterConfig {
  /** The folder or the name of the model that it is of. */
  readonly base: string;
  /** Modules of which the adapter has a whole copy. */
  readonly savedModules: readonly string[];
  /**
   * What the product of a module is multiplied with.
   * @param module its name in the model, such as `transformer.h.0.attn.c_attn`
   * @param rank the width of the product
   * @throws KvgenError for a module that the config does not name
   */
  scale(module: string, rank: number): number;
}

/** Keys without which the products are another, or more than products. Nothing, false, [] and {} are well. */
const NOT_DONE = new Map([
  ['use_dora', 'DoRA is not computed'],
  ['use_qalora', 'QA-LoRA is not computed'],
  ['lora_bias', 'biases of products are not computed'],
  ['layer_replication', 'repeated layers are not computed'],
  ['megatron_config', 'Megatron layers are not read'],
  ['trainable_token_indices', 'trained rows of the embedding are not read'],
  ['target_parameters', 'products of parameters are not computed'],
  ['ensure_weight_tying', 'copies with two uses are not computed'],
  ['alora_invocation_tokens', 'aLoRA is not computed'],
  ['arrow_config', 'Arrow is not computed'],
]);

/** What cannot change the result, or is read below. */
const KNOWN = new Set([
  'alpha_pattern',
  'auto_mapping',
  'base_model_name_or_path',
  'bias',
  'corda_config',
  'eva_config',
  'exclude_modules',
  'fan_in_fan_out',
  'inference_mode',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'loftq_config',
  'lora_alpha',
  'lora_dropout',
  'megatron_core',
  'modules_to_save',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'r',
  'rank_pattern',
  'revision',
  'runtime_config',
  'target_modules',
  'task_type',
  'use_rslora',
]);
/** Ways to begin that change the base model as well: the adapter is then the difference to another one. */
const CHANGING_BASE = /^(pissa|olora|loftq|corda)/;
const MERGE = 'merge it in PEFT: model.merge_and_unload().save_pretrained(OUT)';

/**
 * @param json the parsed file
 * @param where its path, for messages
 * @throws KvgenError that names the key, what was expected and what was found
 */
export function parseAdapterConfig(json: unknown, where: string): AdapterConfig {
  const read = new ConfigReader(json, where);
  refuseUnsupported(read, Object.keys(Object(json)));
  const base = read.value('base_model_name_or_path');
  if (typeof base !== 'string' || base === '') {
    throw read.wrong('base_model_name_or_path', 'the name or the folder of the model that the adapter is of', base);
  }
  const alpha = byModule(read, 'lora_alpha', 'alpha_pattern', 8);
  const rankOf = byModule(read, 'r', 'rank_pattern', 8);
  const isTarget = targets(read);
  const isRoot = read.flag('use_rslora', false);
  return {
    base,
    savedModules: names(read, 'modules_to_save') ?? [],
    scale(module, rank) {
      if (!isTarget(module)) {
        throw read.wrong(
          'target_modules',
          `one that fits ${shown(module)}, of which there are weights`,
          targetOf(read),
        );
      }
      if (rank !== rankOf(module)) {
        throw read.wrong('r', `${rank}, the width of the products of ${shown(module)}`, rankOf(module));
      }
      return alpha(module) / (isRoot ? Math.sqrt(rank) : rank);
    },
  };
}

function refuseUnsupported(read: ConfigReader, keys: readonly string[]): void {
  const type = read.value('peft_type');
  if (type !== 'LORA') {
    throw read.wrong('peft_type', `"LORA" (no other adapter is computed; ${MERGE} where it can)`, type);
  }
  for (const key of keys) {
    const value = read.value(key);
    if (!KNOWN.has(key) && !isNothing(value)) {
      throw read.wrong(key, `nothing (${NOT_DONE.get(key) ?? 'it is not known'}; ${MERGE})`, value);
    }
  }
  const begin = read.value('init_lora_weights');
  if (typeof begin === 'string' && CHANGING_BASE.test(begin)) {
    throw read.wrong('init_lora_weights', `one that leaves the base model as it is (${MERGE})`, begin);
  }
}

function isNothing(value: unknown): boolean {
  return value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0);
}

/** A number for each module: of the first of the patterns that fits its name, else that of all. */
function byModule(read: ConfigReader, key: string, patternsKey: string, fallback: number): (module: string) => number {
  const all = numberOf(read, key, read.value(key) ?? fallback);
  const patterns = Object.entries(Object(read.value(patternsKey) ?? {})).map(([pattern, value]) => {
    // A pattern is an expression of Python. People write names, and those alone are taken.
    if (!/^\^?[\w.]+$/.test(pattern)) {
      throw read.wrong(patternsKey, 'names of modules (no expressions)', pattern);
    }
    return { pattern, number: numberOf(read, patternsKey, value) };
  });
  return (module) => patterns.find(({ pattern }) => fits(module, pattern))?.number ?? all;
}

function numberOf(read: ConfigReader, key: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw read.wrong(key, 'a number', value);
  }
  return value;
}

/** Behind `^` stands the whole name, else its end. */
function fits(module: string, pattern: string): boolean {
  return pattern.startsWith('^') ? module === pattern.slice(1) : module === pattern || module.endsWith(`.${pattern}`);
}

/** Weights of modules that the config does not name would be passed over by PEFT. An expression is not looked at. */
function targets(read: ConfigReader): (module: string) => boolean {
  const wanted = names(read, 'target_modules');
  const excluded = names(read, 'exclude_modules') ?? [];
  const layers = layerNumbers(read);
  return (module) => {
    const layer = /\.(\d+)\./.exec(`.${module}`)?.[1];
    const isInLayers = layers === undefined || (layer !== undefined && layers.includes(Number(layer)));
    const isWanted = wanted === undefined || (wanted.some((name) => fits(module, name)) && isInLayers);
    return isWanted && !excluded.some((name) => fits(module, name));
  };
}

function targetOf(read: ConfigReader): unknown {
  return read.value('target_modules');
}

function layerNumbers(read: ConfigReader): readonly unknown[] | undefined {
  const value = read.value('layers_to_transform') ?? [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.length === 0 ? undefined : list;
}

/** undefined: an expression, or nothing. @throws KvgenError for what is neither that nor a list of names */
function names(read: ConfigReader, key: string): readonly string[] | undefined {
  const value = read.value(key) ?? undefined;
  if (value === undefined || typeof value === 'string') {
    return undefined;
  }
  if (!Array.isArray(value) || !value.every((name): name is string => typeof name === 'string')) {
    throw read.wrong(key, 'a list of names', value);
  }
  return value;
}
