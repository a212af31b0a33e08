// `kvgen batch`: many prompts in one run, a JSON object a line in and out. Opens what makes the texts, here or at a server. With
// --reorder all lines are read first, and run in the order in which they share most.

import { ROWS } from '../../files/file-kinds.js';
import type { Input } from '../../files/named-input.js';
import { folderSource, type Model, openModel } from '../../library/model.js';
import {
  checkCacheEnvironment,
  checkDraftModel,
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  settingsOf,
} from '../../settings.js';
import { findModel } from '../../weights/find.js';
import { noteContext, onOpening, openDraftModel, savedFor } from '../generate/opening.js';
import type { Saved } from '../generate/saved.js';
import { checkServedArgs, noteUnsure, reachServer } from '../generate/served-texts.js';
import type { Invocation } from '../shell/command.js';
import { BATCH, type BatchArgs } from '../shell/command-settings.js';
import { checkHasInput, openNamed } from '../shell/prompt-input.js';
import { noteLiteralStop, withUnescapedStops } from '../shell/unescape.js';
import { BatchJob } from './batch-job.js';
import { BatchProgress } from './batch-progress.js';
import { type BatchTexts, textsOfModel, textsOfServer } from './batch-texts.js';

export async function batchCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const args = invocation.settings(BATCH);
  const defaults = withUnescapedStops(settingsOf(GENERATE, { ...args, json: true })); // for a line that gives only its prompt
  const [path = '-'] = words;
  checkGenerateArgs(defaults, undefined);
  checkDraftModel(defaults);
  checkCacheEnvironment(defaults);
  await terminal.configure(args);
  noteLiteralStop(defaults, terminal);
  checkHasInput(invocation, {}, 'no rows: give a file, or pipe them in');
  const input = await openNamed(path, ROWS, terminal); // before anything is loaded: it may be refused
  try {
    return await runBatch(invocation, args, defaults, input);
  } finally {
    await input.close();
  }
}

async function runBatch(
  invocation: Invocation,
  args: BatchArgs,
  defaults: GenerateArgs,
  input: Input,
): Promise<number> {
  const { terminal, signal } = invocation;
  const stopped = AbortSignal.any([signal, terminal.closed]);
  const run = async <Q>(texts: BatchTexts<Q>) => {
    try {
      return await new BatchJob(
        { args, defaults, texts, terminal, stopped },
        new BatchProgress(terminal, input.size),
      ).run(input);
    } finally {
      texts.dispose();
    }
  };
  if (args.server !== undefined) {
    checkServedArgs(defaults);
    const server = await reachServer(args, invocation);
    noteUnsure(defaults, server, terminal);
    return run(textsOfServer(server, stopped));
  }
  return withModels(defaults, invocation, (parts) => run(textsOfModel({ ...parts, stopped })));
}

interface Opened {
  readonly model: Model;
  readonly draft: Model | null;
  readonly saved: Saved | null;
}

/** Opens what the batch is computed with, and frees it. */
async function withModels(
  defaults: GenerateArgs,
  { terminal, signal }: Invocation,
  run: (opened: Opened) => Promise<number>,
): Promise<number> {
  const found = findModel(defaults.model);
  const saved = await savedFor(defaults, found, { terminal, signal });
  const source = await folderSource(found, signal);
  noteContext(defaults, source.shape.config, terminal);
  const model = await openModel(source, onOpening(defaults, terminal, signal));
  let draft: Model | null = null;
  try {
    await saved?.identify(source.folder);
    draft = await openDraftModel(defaults, model, terminal, signal);
    return await run({ model, draft, saved });
  } finally {
    model.dispose();
    draft?.dispose();
  }
}
