// Writes a text in the form that was asked for, as it comes, and then the report. What makes the tokens, a model or a
// saved answer, makes no difference here.

import type { CompletionToken } from '../complete.js';
import type { FinishReason } from '../generate.js';
import type { GenerateArgs } from '../options.js';
import type { Terminal } from '../terminal.js';
import { reportJson, statisticsLine } from './report.js';
import type { GenerateRun } from './run.js';

/**
 * @param run told what came
 * @param finish called after the text, before the JSON form and the statistics
 */
export async function emit(
  { args, terminal }: { readonly args: GenerateArgs; readonly terminal: Terminal },
  run: GenerateRun,
  tokens: AsyncGenerator<CompletionToken, FinishReason>,
  finish: () => Promise<void>,
): Promise<void> {
  const streaming = args.stream && !args.json;
  if (args.echo && !args.json) {
    terminal.progressDone();
    await terminal.write(run.prompt);
  }
  for (let next = await tokens.next(); ; next = await tokens.next()) {
    terminal.progressDone();
    if (next.done === true) {
      run.finishReason = next.value;
      break;
    }
    run.tokens.push(next.value);
    await (streaming ? terminal.write(next.value.text) : undefined);
  }
  const begun = run.finishReason !== 'abort' || run.tokens.length > 0 || args.echo;
  if (!args.json && begun) {
    await terminal.write(`${streaming ? '' : joined(run)}\n`);
  }
  await finish();
  await (args.json ? terminal.write(`${reportJson(run)}\n`) : undefined);
  terminal.statistics(statisticsLine(run));
}

function joined(run: GenerateRun): string {
  return run.tokens.map(({ text }) => text).join('');
}
