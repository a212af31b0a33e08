// What is measured: prefill of some lengths, and decoding at some depths with and without the cache, as far as they fit
// into the model's context. Knows nothing of tensors or clocks.

import { KvgenError } from '../../errors.js';
import type { BenchArgs } from '../shell/command-settings.js';

export interface Point {
  /** `pp128`: a prompt of 128 tokens; `tg32`: 32 generated tokens. */
  readonly name: string;
  readonly phase: 'prefill' | 'decode';
  readonly cache: boolean;
  /** Tokens before the measured ones. */
  readonly depth: number;
  /** Tokens in one measurement. */
  readonly tokens: number;
}

const PROMPT_TOKENS = [128, 512];
const DEPTHS = [0, 256, 512, 768];
/** Few, since a token without the cache takes as long as the whole prompt. */
const UNCACHED_TOKENS = 3;

type PointArgs = Pick<BenchArgs, 'promptTokens' | 'genTokens' | 'depth' | 'cachedOnly'>;

/**
 * The points in the order of measuring.
 * @throws KvgenError when a point that was asked for by its option does not fit
 */
export function benchPoints(args: PointArgs, nPositions: number): Point[] {
  const fits = (point: Point) => point.depth + point.tokens <= nPositions;
  const prefill = distinct(args.promptTokens ?? PROMPT_TOKENS)
    .filter((tokens) => tokens > 0)
    .map(prefillPoint);
  const depths = args.genTokens > 0 ? distinct(args.depth ?? DEPTHS) : [];
  const decode = depths.map((depth) => decodePoint(depth, args.genTokens));
  const asked = [...(args.promptTokens ? prefill : []), ...(args.depth ? decode : decode.slice(0, 1))];
  const tooLong = asked.find((point) => !fits(point));
  if (tooLong !== undefined) {
    throw new KvgenError(`${describe(tooLong)} need more than the model's ${nPositions} positions; give less`);
  }
  const fitting = decode.filter(fits);
  return [
    ...prefill.filter(fits),
    ...(args.cachedOnly ? fitting : fitting.flatMap((point) => [point, uncached(point)])),
  ];
}

function prefillPoint(tokens: number): Point {
  return { name: `pp${tokens}`, phase: 'prefill', cache: true, depth: 0, tokens };
}

function decodePoint(depth: number, tokens: number): Point {
  return { name: `tg${tokens}`, phase: 'decode', cache: true, depth, tokens };
}

function uncached({ depth, tokens }: Point): Point {
  const few = Math.min(tokens, UNCACHED_TOKENS);
  return { ...decodePoint(depth, few), cache: false };
}

function describe({ phase, depth, tokens }: Point): string {
  return phase === 'prefill' ? `--prompt-tokens ${tokens}` : `--depth ${depth} and --gen-tokens ${tokens}`;
}

function distinct(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}
