// `kvgen score`: how likely given continuations of a prompt are, best first; or, in perplexity.ts, how well a model
// predicts a text.

import { EXIT } from '../../errors.js';
import { TEXT } from '../../files/file-kinds.js';
import { promptConflicts, throwFirst } from '../../settings.js';
import type { Invocation } from '../shell/command.js';
import { SCORE, type ScoreArgs } from '../shell/command-settings.js';
import { checkHasInput, promptText, readUtf8 } from '../shell/prompt-input.js';
import { readChoices } from './choices.js';
import { scoreHere } from './local-score.js';
import type { ScoreInput } from './score-run.js';

export async function scoreCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const args = invocation.settings(SCORE);
  checkScoreArgs(args, words[0]);
  await terminal.configure(args);
  if (args.perplexity === undefined) {
    checkHasInput(invocation, args);
  }
  const input = () => readInput(args, invocation);
  if (args.server !== undefined) {
    const { scoreServed } = await import('./served-score.js');
    await scoreServed(args, input, invocation);
  } else {
    await scoreHere(args, input, invocation);
  }
  return EXIT.ok;
}

/** @throws UsageError that names the settings which cannot go together */
function checkScoreArgs(args: ScoreArgs, prompt: string | undefined): void {
  const { choices, choicesFile, perplexity, stride, perDocument, file, promptIds } = args;
  const given = [choices, choicesFile, perplexity].filter((value) => value !== undefined).length;
  const isText = perplexity !== undefined;
  throwFirst([
    [given !== 1, 'expected one of --choices, --choices-file and --perplexity'],
    [isText && (prompt ?? file ?? promptIds) !== undefined, '--perplexity cannot go with a prompt'],
    [isText && args.promptCache === true, '--prompt-cache is for choices: a text is not kept'],
    [!isText && stride !== undefined, '--stride needs --perplexity'],
    [!isText && perDocument, '--per-document needs --perplexity'],
    ...promptConflicts(args, prompt),
    [args.quiet && args.verbose, '--quiet cannot go with --verbose'],
  ]);
}

async function readInput(args: ScoreArgs, invocation: Invocation): Promise<ScoreInput> {
  if (args.perplexity !== undefined) {
    return { text: await readUtf8(args.perplexity, TEXT, invocation), choices: [] };
  }
  const text = await promptText(invocation, args);
  return { text, choices: await readChoices(args, invocation) };
}
