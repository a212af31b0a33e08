// Writes texts as they come, as plain text or as JSON, and then the report. Several texts are written one after the
// other: what comes of a later one waits until those before it are done. Only the events of --jsonl are written at
// once. Knows nothing of where the tokens come from, a model or a saved answer.

import { type Completion, type CompletionToken, joinedText } from '../../completion/complete.js';
import type { CompletionEvent } from '../../completion/complete-many.js';
import type { SequenceStats } from '../../generation/sequence.js';
import type { GenerateArgs } from '../../settings.js';
import { jsonText } from '../shell/escape.js';
import type { Terminal } from '../shell/terminal.js';
import { reportFields, statisticsLine } from './report.js';
import { tokenEvent } from './report-tokens.js';
import type { FinishedRun, TextRun } from './samples.js';
import { TokenColors } from './token-colors.js';

interface Output {
  readonly args: GenerateArgs;
  readonly terminal: Terminal;
}

/** The texts to write. */
export interface Texts {
  readonly runs: readonly TextRun[];
  /** Takes what was measured of a text so far. */
  note(run: TextRun, stats: SequenceStats): void;
  /** Called when the text is written and before its report. */
  finish(run: TextRun, completion: Completion): FinishedRun | Promise<FinishedRun>;
}

/** Tokens of several samples come with what was measured, since the first one's prefill serves all. */
export type TextEvent =
  | CompletionEvent<{ readonly run: TextRun }>
  | { readonly request: { readonly run: TextRun }; readonly tokens: readonly CompletionToken[] };

/**
 * @returns the texts in the order of `texts`
 * @throws what went wrong with any of them
 */
export async function writeTexts(
  output: Output,
  texts: Texts,
  events: AsyncIterable<TextEvent>,
): Promise<FinishedRun[]> {
  const { args, terminal } = output;
  const { runs } = texts;
  const finished = new Map<TextRun, FinishedRun>();
  const colors = args.colorByProbability ? new TokenColors(terminal.chalk) : null;
  const writer: Writer = args.json || args.jsonl ? new JsonWriter(output) : new TextWriter(output, runs, colors);
  await writer.begin?.();
  for await (const event of events) {
    terminal.progressDone();
    const { run } = event.request;
    if ('error' in event) {
      throw event.error;
    }
    if ('tokens' in event) {
      if ('stats' in event) {
        texts.note(run, event.stats);
      }
      await writer.tokens(run, event.tokens);
    } else {
      await writer.end?.(run, event.end);
      const done = await texts.finish(run, event.end);
      finished.set(run, done);
      await writer.report?.(done);
    }
  }
  const all = runs.flatMap((run) => finished.get(run) ?? []);
  terminal.legend((chalk) => colors?.legend(chalk));
  terminal.statistics(statisticsLine(all));
  return all;
}

/** Writes the events in one form, as they come. */
interface Writer {
  /** Called before the first event. */
  begin?(): Promise<void>;
  tokens(run: TextRun, tokens: readonly CompletionToken[]): Promise<void>;
  end?(run: TextRun, completion: Completion): Promise<void>;
  report?(run: FinishedRun): Promise<void>;
}

/** Writes the texts one after the other, with the separator between two. */
class TextWriter implements Writer {
  readonly #output: Output;
  readonly #runs: readonly TextRun[];
  /** null: the text is written as it is. */
  readonly #colors: TokenColors | null;
  /** The index of the text that is being written; those before it are done. */
  #turn = 0;
  /** Text that came too early to be written. */
  readonly #held = new Map<TextRun, string>();
  /** Ended texts, by the index of the sample. */
  readonly #completions: (Completion | undefined)[] = [];

  constructor(output: Output, runs: readonly TextRun[], colors: TokenColors | null) {
    this.#output = output;
    this.#runs = runs;
    this.#colors = colors;
  }

  /** Writes the prompt where --echo asks for it. */
  async begin(): Promise<void> {
    const { args, terminal } = this.#output;
    if (args.echo) {
      terminal.progressDone();
      await terminal.write(this.#begun(this.#runs[0] as TextRun));
    }
  }

  async tokens(run: TextRun, tokens: readonly CompletionToken[]): Promise<void> {
    const text = this.#colors?.paint(run, tokens) ?? joinedText(tokens);
    if (this.#output.args.stream && run === this.#runs[this.#turn]) {
      await this.#output.terminal.write(text);
    } else {
      this.#held.set(run, (this.#held.get(run) ?? '') + text);
    }
  }

  async end(run: TextRun, completion: Completion): Promise<void> {
    this.#completions[run.sample ?? 0] = completion;
    for (let ended = this.#completions[this.#turn]; ended !== undefined; ended = this.#completions[this.#turn]) {
      const current = this.#runs[this.#turn++] as TextRun;
      await this.#endText(current, ended, this.#runs[this.#turn]);
    }
  }

  async #endText(run: TextRun, completion: Completion, next: TextRun | undefined): Promise<void> {
    const { args, terminal } = this.#output;
    if (!args.echo && !hasBegun(completion)) {
      return;
    }
    const isBare = args.echo && completion.tokens.length === 0;
    await terminal.write(`${this.#take(run)}${isBare ? (run.prompt.held ?? '') : ''}\n`);
    if (next !== undefined) {
      const text = args.stream ? this.#take(next) : '';
      await terminal.write(`${args.separator}\n${args.echo ? this.#begun(next) : ''}${text}`);
    }
  }

  /** The prompt without what its first token may change, which comes with that. */
  #begun({ prompt: { text, held = '' } }: TextRun): string {
    return text.slice(0, text.length - held.length);
  }

  #take(run: TextRun): string {
    const text = this.#held.get(run) ?? '';
    this.#held.delete(run);
    return text;
  }
}

/** Has the text begun, so that a newline must end it? An interrupt may come before its first token. */
function hasBegun({ finishReason, tokens }: Completion): boolean {
  return finishReason !== 'abort' || tokens.length > 0;
}

/** Writes the events of --jsonl as they come, or the objects of --json in the order of the samples. */
class JsonWriter implements Writer {
  readonly #output: Output;
  readonly #counts = new Map<TextRun, number>();
  /** The objects of --json, by the index of the sample. */
  readonly #reports: (string | undefined)[] = [];
  #turn = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  async tokens(run: TextRun, tokens: readonly CompletionToken[]): Promise<void> {
    const { args, terminal } = this.#output;
    for (const token of args.jsonl ? tokens : []) {
      const index = this.#counts.get(run) ?? 0;
      this.#counts.set(run, index + 1);
      await terminal.printJson(tokenEvent(run, token, index));
    }
  }

  async report(run: FinishedRun): Promise<void> {
    const { args, terminal } = this.#output;
    if (args.jsonl) {
      await terminal.printJson({ type: 'done', ...reportFields(run) });
      return;
    }
    this.#reports[run.sample ?? 0] = jsonText(reportFields(run));
    for (let next = this.#reports[this.#turn]; next !== undefined; next = this.#reports[++this.#turn]) {
      await terminal.print(next);
    }
  }
}
