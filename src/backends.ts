// What a model can be computed on: the backends and the forms of its weights, which of them cannot go together, how
// each saves keys and values, and when a choice of the environment gives way to an option. Knows nothing of engines or of what is installed.

import { UsageError } from './errors.js';

export const BACKENDS = ['auto', 'node', 'simd', 'cpu'] as const;
export type BackendName = Exclude<(typeof BACKENDS)[number], 'auto'>;

export const ENGINES = ['auto', 'eager', 'graph'] as const;

/** The numbers that the weights are computed with. */
export const WEIGHTS = ['float32', 'int8'] as const;
export type WeightsName = (typeof WEIGHTS)[number];

/** How keys and values are saved on disk. */
export const CACHE_DTYPES = ['float32', 'float16'] as const;
export type CacheDtype = (typeof CACHE_DTYPES)[number];

/** How they are saved where nobody says: simd promises the same bits from disk, and the others round anyway. */
export function cacheDtypeOf(backend: BackendName): CacheDtype {
  return backend === 'simd' ? 'float32' : 'float16';
}

/** What somebody asked for; undefined: nothing was said. */
export interface BackendChoice {
  readonly backend?: (typeof BACKENDS)[number] | undefined;
  readonly engine?: (typeof ENGINES)[number] | undefined;
  readonly threads?: number | undefined;
  readonly weights?: WeightsName | undefined;
}

/** Choices of which backend and weights may have several values. */
type BackendChoices = { readonly [K in keyof BackendChoice]: BackendChoice[K] | readonly BackendChoice[K][] };

/** Two settings of a choice that cannot go together. */
type Clash = readonly [one: keyof BackendChoice, other: keyof BackendChoice];

/** undefined: all of it goes together. */
export function clashOf({ backend = 'auto', engine = 'auto', threads = 1, weights }: BackendChoice): Clash | undefined {
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
export type Spelling = (name: keyof BackendChoice, value: unknown) => string;

export const asOption: Spelling = (name, value) => `--${name} ${value}`;

export function clashWords(choice: BackendChoice, [one, other]: Clash, spell: Spelling): string {
  return `${spell(one, choice[one])} cannot go with ${spell(other, choice[other])}`;
}

/** @throws UsageError that names two settings which cannot go together */
export function checkChoice(choice: BackendChoice, spell = asOption): void {
  const clash = clashOf(choice);
  if (clash !== undefined) {
    throw new UsageError(clashWords(choice, clash, spell));
  }
}

/** A choice for each pair of a backend and a form of weights. */
export function choicesOf({ backend, engine, threads, weights }: BackendChoices): BackendChoice[] {
  const [backends, forms] = [[backend].flat(), [weights].flat()];
  return backends.flatMap((backend) =>
    forms.map((weights) => ({ backend, engine, threads, weights }) as BackendChoice),
  );
}

/**
 * Leaves out what the environment chose where an option rules it out: a variable makes no option impossible.
 * @throws UsageError when none of the choices that are left goes together
 */
export function settleChoices<T extends BackendChoices>(
  values: T,
  fromEnvironment: (name: keyof BackendChoice) => boolean,
  spell: Spelling,
): T {
  const chosen = (['backend', 'weights'] as const).filter(fromEnvironment);
  const options = without(values, chosen);
  const ruledOut = chosen.filter((name) => choicesOf({ ...options, [name]: values[name] }).some(clashOf));
  const settled = without(values, ruledOut);
  const choices = choicesOf(settled);
  if (choices.every(clashOf)) {
    checkChoice(choices[0] as BackendChoice, spell);
  }
  return settled;
}

function without<T extends object>(values: T, names: readonly (keyof T)[]): T {
  const left = Object.entries(values).filter(([name]) => !names.includes(name as keyof T));
  return Object.fromEntries(left) as T;
}
