// The prompt's text of an invocation: its argument, a file or stdin.

import { UsageError } from '../../errors.js';
import type { GenerateArgs } from '../../settings.js';
import type { Invocation } from './command.js';
import { readPrompt } from './prompt-input.js';

type PromptArgs = Pick<GenerateArgs, 'file' | 'promptIds'>;

/** @throws UsageError, after the usage, where only a person at the keyboard could give a prompt */
export function checkHasPrompt({ words, terminal, usage }: Invocation, { file, promptIds }: PromptArgs): void {
  if (words.length === 0 && file === undefined && promptIds === undefined && terminal.stdinIsTerminal) {
    terminal.log(usage());
    throw new UsageError('no prompt');
  }
}

/** @returns undefined: --prompt-ids */
export async function promptText(
  { words, literal, terminal, signal }: Invocation,
  { file, promptIds }: PromptArgs,
): Promise<string | undefined> {
  const readStdin = () => terminal.readStdin(signal);
  return promptIds === undefined ? readPrompt({ argument: words[0], literal, file, readStdin }) : undefined;
}
