// What one run compares: each backend with each form of weights that was asked for, as far as they go together. Knows
// nothing of how they are measured.

import { asOption, type BackendChoice, choicesOf, clashOf, clashWords } from '../../backends.js';
import { UsageError } from '../../errors.js';
import { type Machine, type ModelFacts, machineFor } from '../../library/machine.js';
import type { BenchArgs } from '../shell/command-settings.js';

type Asked = Pick<BenchArgs, 'backend' | 'engine' | 'threads' | 'weights'>;

/**
 * The choices that lead to different machines.
 * @param onNote told what is left out
 * @throws UsageError for two that one process cannot hold
 */
export async function combinations(
  args: Asked,
  facts: ModelFacts,
  onNote: (line: string) => void,
): Promise<BackendChoice[]> {
  const distinct = new Map<string, BackendChoice>();
  for (const choice of fitting(args, onNote)) {
    const name = machineName(await machineFor(facts, choice));
    distinct.set(name, distinct.get(name) ?? choice);
  }
  const names = [...distinct.keys()].join();
  if (names.includes('node') && names.includes('cpu')) {
    throw new UsageError(
      '--backend: node and cpu are both TensorFlow.js, which computes on one of them; run them apart',
    );
  }
  return [...distinct.values()];
}

function fitting(args: Asked, onNote: (line: string) => void): BackendChoice[] {
  return choicesOf(args).filter((choice) => {
    const clash = clashOf(choice);
    if (clash !== undefined) {
      onNote(`left out: ${clashWords(choice, clash, asOption)}`);
    }
    return clash === undefined;
  });
}

/** Such as `simd int8`. */
export function machineName({ backend, weights }: Pick<Machine, 'backend' | 'weights'>): string {
  return `${backend} ${weights}`;
}
