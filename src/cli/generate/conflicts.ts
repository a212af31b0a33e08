// What cannot go together, by name: exit 2. Each list is in the order in which its conflicts are told.

import { UsageError } from '../../errors.js';
import type { GenerateArgs } from '../../settings.js';

export type Conflict = readonly [holds: boolean, message: string];

/** @throws UsageError */
export function checkGenerateArgs(args: GenerateArgs, prompt: string | undefined): void {
  const { cache, samples = 1, seed = 0 } = args;
  throwFirst([
    [!cache && args.engine === 'graph', '--no-cache cannot go with --engine graph'],
    [!cache && args.promptCache === true, '--no-cache cannot go with --prompt-cache'],
    [!cache && args.verifyCache, '--no-cache cannot go with --verify-cache'],
    [samples > 1 && args.verifyCache, '--samples cannot go with --verify-cache'],
    [seed > Number.MAX_SAFE_INTEGER - (samples - 1), '--seed: seed + samples − 1 must be at most 2^53−1'],
    [args.json && args.jsonl, '--json cannot go with --jsonl'],
    [args.logprobs !== undefined && !args.json && !args.jsonl, '--logprobs needs --json or --jsonl'],
    [args.quiet && args.verbose, '--quiet cannot go with --verbose'],
    ...promptConflicts(args, prompt),
  ]);
}

/** A prompt comes from one place. */
export function promptConflicts(
  { file, promptIds }: Pick<GenerateArgs, 'file' | 'promptIds'>,
  prompt: string | undefined,
): Conflict[] {
  return [
    [file !== undefined && prompt !== undefined, '--file cannot go with a prompt'],
    [promptIds !== undefined && prompt !== undefined, '--prompt-ids cannot go with a prompt'],
    [promptIds !== undefined && file !== undefined, '--prompt-ids cannot go with --file'],
  ];
}

/** @throws UsageError for the first that holds */
export function throwFirst(conflicts: readonly Conflict[]): void {
  const conflict = conflicts.find(([holds]) => holds);
  if (conflict !== undefined) {
    throw new UsageError(conflict[1]);
  }
}
