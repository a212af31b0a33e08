// What a model can be computed on: the backends and the forms of its weights, which of them cannot go together, and
// when a choice of the environment gives way to an option. Knows nothing of options, engines or what is installed.

import { UsageError } from './errors.js';

export const BACKENDS = ['auto', 'node', 'simd', 'cpu'] as const;
export type BackendName = Exclude<(typeof BACKENDS)[number], 'auto'>;

export const ENGINES = ['auto', 'eager', 'graph'] as const;

/** The numbers that the weights are computed with. */
export const WEIGHTS = ['float32', 'int8'] as const;
export type WeightsName = (typeof WEIGHTS)[number];

/** What somebody asked for; undefined: nothing was said. */
export interface Wish {
  readonly backend?: (typeof BACKENDS)[number] | undefined;
  readonly engine?: (typeof ENGINES)[number] | undefined;
  readonly threads?: number | undefined;
  readonly weights?: WeightsName | undefined;
}

/** Wishes of which backend and weights may have several values. */
type WishTable = { readonly [K in keyof Wish]: Wish[K] | readonly Wish[K][] };

/** Two settings of a wish that cannot go together. */
type Clash = readonly [one: keyof Wish, other: keyof Wish];

/** undefined: all of it goes together. */
export function clashOf({ backend = 'auto', engine = 'auto', threads = 1, weights }: Wish): Clash | undefined {
  const clashes: readonly (readonly [holds: boolean, clash: Clash])[] = [
    [weights === 'int8' && (backend === 'node' || backend === 'cpu'), ['weights', 'backend']],
    [engine !== 'auto' && backend === 'simd', ['engine', 'backend']],
    [engine === 'graph' && backend === 'cpu', ['engine', 'backend']],
    [engine !== 'auto' && weights === 'int8', ['engine', 'weights']],
    [threads > 1 && backend === 'cpu', ['threads', 'backend']],
  ];
  return clashes.find(([holds]) => holds)?.[1];
}

/** How a person wrote a setting: `--backend node`. */
export type Spelling = (name: keyof Wish, value: unknown) => string;

export const asOption: Spelling = (name, value) => `--${name} ${value}`;

export function clashWords(wish: Wish, [one, other]: Clash, spell: Spelling): string {
  return `${spell(one, wish[one])} cannot go with ${spell(other, wish[other])}`;
}

/** @throws UsageError that names two settings which cannot go together */
export function checkWish(wish: Wish, spell = asOption): void {
  const clash = clashOf(wish);
  if (clash !== undefined) {
    throw new UsageError(clashWords(wish, clash, spell));
  }
}

/** A wish for each pair of a backend and a form of weights. */
export function wishesOf({ backend, engine, threads, weights }: WishTable): Wish[] {
  const [backends, forms] = [[backend].flat(), [weights].flat()];
  return backends.flatMap((backend) => forms.map((weights) => ({ backend, engine, threads, weights }) as Wish));
}

/**
 * Leaves out what the environment chose where an option rules it out: a variable makes no option impossible.
 * @throws UsageError when none of the wishes that are left goes together
 */
export function settleWishes<T extends WishTable>(
  values: T,
  fromEnvironment: (name: keyof Wish) => boolean,
  spell: Spelling,
): T {
  const chosen = (['backend', 'weights'] as const).filter(fromEnvironment);
  const options = without(values, chosen);
  const ruledOut = chosen.filter((name) => wishesOf({ ...options, [name]: values[name] }).some(clashOf));
  const settled = without(values, ruledOut);
  const wishes = wishesOf(settled);
  if (wishes.every(clashOf)) {
    checkWish(wishes[0] as Wish, spell);
  }
  return settled;
}

function without<T extends object>(values: T, names: readonly (keyof T)[]): T {
  const left = Object.entries(values).filter(([name]) => !names.includes(name as keyof T));
  return Object.fromEntries(left) as T;
}
