// `kvgen view`: makes a text and draws a page of the run, or draws the page of a run that was recorded.

import { resolve } from 'node:path';
import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { EXIT, megabytes } from '../../errors.js';
import { RECORD } from '../../files/file-kinds.js';
import { checkNewFile, writeNewFile } from '../../files/new-file.js';
import { type FolderSource, folderSource, type Model, openModel } from '../../library/model.js';
import {
  checkCacheEnvironment,
  checkDraftModel,
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  settingsOf,
  throwFirst,
} from '../../settings.js';
import { readRecord } from '../../view/read-record.js';
import type { RunRecord } from '../../view/run-record.js';
import { findModel } from '../../weights/find.js';
import { fittedPrompt, noteContext, onOpening, openDraftModel, openTokenizer, savedFor } from '../generate/opening.js';
import { statisticsLine } from '../generate/report.js';
import { missLine } from '../generate/report-cache.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import { VIEW, type ViewArgs } from '../shell/command-settings.js';
import { jsonText } from '../shell/escape.js';
import { checkHasInput, promptText, readUtf8, withoutMark } from '../shell/prompt-input.js';
import type { Terminal } from '../shell/terminal.js';
import { noteLiteralStop, withUnescapedStops } from '../shell/unescape.js';
import { recordedRun } from './recorded-run.js';
import { type Watched, watchRun } from './watch-run.js';

const STDOUT = '-';

export async function viewCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const view = withUnescapedStops(invocation.settings(VIEW));
  const args = generateArgs(view);
  checkGenerateArgs(args, words[0]);
  checkDraftModel(args);
  checkCacheEnvironment(args);
  await terminal.configure(args);
  const recorded = await recordedRun(invocation, view);
  checkDifferent(view, recorded);
  noteLiteralStop(args, terminal);
  checkHasInput(invocation, args);
  await checkTargets(view);
  const record =
    recorded === undefined ? await makeRecord(args, view, invocation) : await readFile(recorded, invocation);
  const { pageOf } = await import('../../view/page.js');
  await write(terminal, view.output, record, pageOf(record));
  return EXIT.ok;
}

/** As generate would be called for the JSON that the page shows; a setting that a page does not take has its default. */
function generateArgs(view: ViewArgs): GenerateArgs {
  return settingsOf(GENERATE, { ...view, json: true, echo: true });
}

/** @throws UsageError for a file that would be written over what was just written, or read */
function checkDifferent({ output, record, file }: ViewArgs, recorded: string | undefined): void {
  const isSame = (a: string | undefined, b: string | undefined) =>
    a !== undefined && b !== undefined && resolve(a) === resolve(b);
  throwFirst([
    [isSame(record, output), '--record cannot name the file of --output'],
    [isSame(recorded, output), '--output cannot name the record that is drawn'],
    [isSame(file, output), '--output cannot name the file of --file'],
    [isSame(file, record), '--record cannot name the file of --file'],
  ]);
}

/** Before the model is loaded, and not after minutes of work. @throws KvgenError */
async function checkTargets({ output, record }: ViewArgs): Promise<void> {
  for (const path of [record, output]) {
    if (path !== undefined && path !== STDOUT) {
      await checkNewFile(path);
    }
  }
}

async function readFile(path: string, invocation: Invocation): Promise<RunRecord> {
  return readRecord(withoutMark(await readUtf8(path, RECORD, invocation)), path);
}

/** Makes a text, and writes the record where that is asked for. */
async function makeRecord(args: GenerateArgs, view: ViewArgs, invocation: Invocation): Promise<RunRecord> {
  const { terminal } = invocation;
  const { run, record } = await makeRun(args, invocation);
  const missed = missLine(run);
  if (missed !== undefined) {
    terminal.statistics(missed);
  }
  terminal.statistics(statisticsLine([run]));
  if (view.record !== undefined) {
    await write(terminal, view.record, record, `${jsonText(record)}\n`);
  }
  return record;
}

async function makeRun(args: GenerateArgs, invocation: Invocation): Promise<Watched> {
  const found = findModel(args.model);
  const text = await promptText(invocation, args);
  const saved = await savedFor(args, found, invocation);
  const source = await folderSource(found, invocation.signal);
  noteContext(args, source.shape.config, invocation.terminal);
  return openAndWatch(args, source, text, saved, invocation);
}

async function openAndWatch(
  args: GenerateArgs,
  source: FolderSource,
  text: string | undefined,
  saved: Saved | null,
  { terminal, signal }: Invocation,
): Promise<Watched> {
  const tokenizer = async () => openTokenizer(source.folder, args);
  const model = await openModel(source, { ...onOpening(args, terminal, signal), tokenizer });
  let draft: Model | null = null;
  try {
    draft = await openDraftModel(args, model, terminal, signal);
    await saved?.identify(source.folder);
    const chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
    const preparing = { onNote: (line: string) => terminal.note(line), signal, chats };
    const prompt = await fittedPrompt(text, args, model, preparing).finally(() => chats.dispose());
    const prompts = saved?.prompts(model, prompt.text) ?? null;
    const ended = AbortSignal.any([signal, terminal.closed]);
    return await watchRun({ args, model, draft, prompt, prompts, terminal, signal: ended });
  } finally {
    model.dispose();
    draft?.dispose();
  }
}

/** Says what was written where, unless it is stdout. */
async function write(terminal: Terminal, path: string, { report }: RunRecord, text: string): Promise<void> {
  if (path === STDOUT) {
    await terminal.write(text);
    return;
  }
  await writeNewFile(path, text);
  const tokens = `${report.generation_tokens} token${report.generation_tokens === 1 ? '' : 's'}`;
  terminal.note(`${path}: ${tokens}, ${megabytes(Buffer.byteLength(text))}`);
}
