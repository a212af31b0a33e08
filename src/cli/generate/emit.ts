// Writes a text in the form that was asked for, as it comes, and then the report. What makes the tokens, a model or a
// saved answer, makes no difference here.

import type { CompletionToken } from '../../completion/complete.js';
import type { FinishReason } from '../../generation/generate.js';
import type { GenerateArgs } from '../../settings.js';
import type { Terminal } from '../shell/terminal.js';
import { reportFields, statisticsLine } from './report.js';
import { tokenEvent } from './report-tokens.js';
import { type GenerateRun, joined } from './run-record.js';

export interface Output {
  readonly args: GenerateArgs;
  readonly terminal: Terminal;
}

/**
 * @param run told what came
 * @param finish called after the text, before the JSON form and the statistics
 */
export async function emit(
  output: Output,
  run: GenerateRun,
  tokens: AsyncGenerator<CompletionToken, FinishReason>,
  finish: () => Promise<void>,
): Promise<void> {
  const { args, terminal } = output;
  await writeEcho(output, run);
  for (let next = await tokens.next(); ; next = await tokens.next()) {
    terminal.progressDone();
    if (next.done === true) {
      run.finishReason = next.value;
      break;
    }
    await writeToken(output, run, next.value);
  }
  if (isText(args) && hasBegun(args, run)) {
    await terminal.write(`${args.stream ? '' : joined(run)}\n`);
  }
  await finish();
  await writeReport(output, run);
  terminal.statistics(statisticsLine(run));
}

/** The prompt, where the text goes to stdout and begins with it. */
export async function writeEcho({ args, terminal }: Output, { prompt }: GenerateRun): Promise<void> {
  if (args.echo && isText(args)) {
    terminal.progressDone();
    await terminal.write(prompt);
  }
}

/** A token as it comes: its event, its text, or nothing yet. */
export async function writeToken({ args, terminal }: Output, run: GenerateRun, token: CompletionToken): Promise<void> {
  run.tokens.push(token);
  if (args.jsonl) {
    await terminal.print(tokenEvent(run, token, run.tokens.length - 1));
  } else if (args.stream && isText(args)) {
    await terminal.write(token.text);
  }
}

/** What the JSON forms have at the end. */
export async function writeReport({ args, terminal }: Output, run: GenerateRun): Promise<void> {
  if (!isText(args)) {
    await terminal.print(JSON.stringify({ ...(args.jsonl ? { type: 'done' } : {}), ...reportFields(run) }));
  }
}

export function isText({ json, jsonl }: GenerateArgs): boolean {
  return !json && !jsonl;
}

/** Is there a text, empty or not, that a newline ends? */
export function hasBegun({ echo }: GenerateArgs, { finishReason, tokens }: GenerateRun): boolean {
  return finishReason !== 'abort' || tokens.length > 0 || echo;
}
