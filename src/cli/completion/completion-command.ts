// `kvgen completion bash|zsh|fish|powershell`: prints a completion script, made from the same tables as the parser and
// --help. The scripts ask `kvgen completion models` for the names of the models when somebody types one.

import { EXIT, UsageError } from '../../errors.js';
import { listModels } from '../../weights/find.js';
import type { RunCommand } from '../shell/command.js';
import { SHELLS } from '../shell/command-settings.js';
import { bashScript } from './bash.js';
import { type Commands, isPlainName } from './completions.js';
import { fishScript } from './fish.js';
import { powershellScript } from './powershell.js';
import { zshScript } from './zsh.js';

const SCRIPTS = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  powershell: powershellScript,
} as const satisfies Record<(typeof SHELLS)[number], unknown>;

export function completionCommand(commands: Commands): RunCommand {
  return async ({ words: [word], terminal }) => {
    const shell = SHELLS.find((name) => name === word);
    if (shell === undefined && word !== 'models') {
      throw new UsageError(`completion: expected ${SHELLS.join(', ')} or models, got ${word ?? 'nothing'}`);
    }
    await terminal.write(shell === undefined ? modelNames() : SCRIPTS[shell](commands));
    return EXIT.ok;
  };
}

/** A line each. */
function modelNames(): string {
  const names = listModels().models.map(({ name }) => name);
  return [...new Set(names)]
    .filter(isPlainName)
    .map((name) => `${name}\n`)
    .join('');
}
