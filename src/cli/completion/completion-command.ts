// `kvgen completion bash|zsh|fish|powershell`: prints a completion script, made from the same tables as the parser and
// --help. The scripts ask `kvgen completion models` and `sessions` for names when somebody types one.

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
    if (shell === undefined && word !== 'models' && word !== 'sessions') {
      throw new UsageError(`completion: expected ${SHELLS.join(', ')}, models or sessions, got ${word ?? 'nothing'}`);
    }
    const names = word === 'sessions' ? sessionNames : modelNames;
    await terminal.write(shell === undefined ? await names() : SCRIPTS[shell](commands));
    return EXIT.ok;
  };
}

/** A line each; those that are sealed need a key, which nobody is asked for here. */
async function sessionNames(): Promise<string> {
  const { Chats } = await import('../../store/chats.js');
  const chats = await Chats.open(false, undefined, () => {});
  return (chats?.names() ?? []).map((name) => `${name}\n`).join('');
}

/** A line each. */
function modelNames(): string {
  const names = listModels().models.map(({ name }) => name);
  return [...new Set(names)]
    .filter(isPlainName)
    .map((name) => `${name}\n`)
    .join('');
}
