// Rotary positions: by how many radians each pair of numbers of a head turns from one position to the next. Read from the keys
// that a config.json has for them, and computed with the same bits on every machine. Knows nothing of tensors.
// Source: Su et al. 2021; the scalings are those of transformers' modeling_rope_utils.py.

import { exp, log } from '../exp.js';
import type { ConfigReader } from './config.js';

export interface Rotary {
  /** So many numbers at the beginning of a head are turned; an even number. */
  readonly dimensions: number;
  /** [dimensions / 2] radians a position, float32: number i of a head turns with number i + dimensions / 2. */
  readonly inverseFrequencies: readonly number[];
}

/** What the frequencies are made from besides the config's scaling. */
interface RotaryDefaults {
  readonly dimensions: number;
  readonly theta: number;
  /** The key of theta (default: `rope_theta`). */
  readonly thetaKey?: string;
}

/**
 * Reads `rope_theta` and `rope_scaling`, or the `rope_parameters` of transformers 5, which hold both.
 * @throws KvgenError for a scaling that is not computed
 */
export function readRotary(read: ConfigReader, { dimensions, theta, thetaKey = 'rope_theta' }: RotaryDefaults): Rotary {
  const scaling = read.object('rope_scaling') ?? read.object('rope_parameters');
  const outer = read.positive(thetaKey, theta);
  const base = scaling?.positive('rope_theta', outer) ?? outer;
  const plain = Array.from({ length: dimensions / 2 }, (_, i) => inverseFrequency(base, (2 * i) / dimensions));
  return { dimensions, inverseFrequencies: scaled(plain, scaling, read) };
}

/** transformers computes in float32: the exponent, the power and its inverse are each rounded. */
function inverseFrequency(theta: number, exponent: number): number {
  const power = Math.fround(exp(Math.fround(exponent) * log(theta)));
  return Math.fround(1 / power);
}

function scaled(plain: readonly number[], scaling: ConfigReader | undefined, config: ConfigReader): readonly number[] {
  const type = scaling?.value('type') ?? scaling?.value('rope_type') ?? 'default'; // in this order, as in transformers
  if (scaling === undefined || type === 'default') {
    return plain;
  }
  if (type === 'linear') {
    const factor = scaling.positive('factor');
    return plain.map((frequency) => Math.fround(frequency / factor));
  }
  if (type === 'llama3') {
    return llama3(plain, scaling, config);
  }
  if (type === 'longrope') {
    return divided(plain, scaling);
  }
  throw scaling.wrong('rope_type', '"default", "linear" or "llama3" (other scalings are not computed)', type);
}

/** A factor for each frequency, the same for short texts and long ones: a GGUF file says Llama 3's scaling so. */
function divided(plain: readonly number[], scaling: ConfigReader): readonly number[] {
  const factors = scaling.value('short_factor');
  const isFactor = (value: unknown) => typeof value === 'number' && value > 0 && Number.isFinite(value);
  if (!Array.isArray(factors) || factors.length !== plain.length || !factors.every(isFactor)) {
    throw scaling.wrong('short_factor', `${plain.length} numbers above 0`, factors);
  }
  const long = scaling.value('long_factor');
  if (!Array.isArray(long) || long.join() !== factors.join()) {
    throw scaling.wrong('long_factor', 'those of short_factor (other scalings are not computed)', long);
  }
  if (scaling.value('attention_factor') !== 1) {
    throw scaling.wrong('attention_factor', '1 (others are not computed)', scaling.value('attention_factor'));
  }
  return plain.map((frequency, i) => Math.fround(frequency / (factors[i] as number)));
}

/** Slow turns are divided by `factor`, fast ones stay, and those between are a mix of both. */
function llama3(plain: readonly number[], scaling: ConfigReader, config: ConfigReader): readonly number[] {
  const factor = scaling.positive('factor');
  const [low, high] = [scaling.positive('low_freq_factor'), scaling.positive('high_freq_factor')];
  const trained = scaling.count(
    'original_max_position_embeddings',
    config.count('original_max_position_embeddings', config.count('max_position_embeddings', 1)),
  );
  if (!(high > low)) {
    throw scaling.wrong('high_freq_factor', `more than low_freq_factor (${low})`, high);
  }
  return plain.map((frequency) => {
    const turns = (trained * frequency) / (2 * Math.PI); // in the context that the model was first trained for
    if (turns < low) {
      return Math.fround(frequency / factor);
    }
    const share = turns > high ? 1 : (turns - low) / (high - low);
    return Math.fround(((1 - share) * frequency) / factor + share * frequency);
  });
}
