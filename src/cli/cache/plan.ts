// `kvgen cache plan`: what sharing the beginnings of prompts will save in a batch, before it is run: in the order of its file,
// and in the best one, which is that of `kvgen batch --reorder`. Loads the tokenizer of a model, and neither weights nor an
// engine.

import { chatTemplateOf } from '../../chat/open-template.js';
import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { EXIT } from '../../errors.js';
import { ROWS } from '../../files/file-kinds.js';
import { linesOf } from '../../files/lines.js';
import { machineFor } from '../../library/machine.js';
import { type FolderSource, folderSource } from '../../library/model.js';
import { checkCacheEnvironment, checkGenerateArgs, GENERATE, type GenerateArgs, settingsOf } from '../../settings.js';
import type { KnownLength } from '../../store/prompts.js';
import { hasTokenizer, loadTokenizer } from '../../text/tokenizer.js';
import { type FoundModel, findModel } from '../../weights/find.js';
import { savedFor } from '../generate/opening.js';
import type { Invocation } from '../shell/command.js';
import { CACHE_PLAN } from '../shell/command-settings.js';
import { openNamed } from '../shell/prompt-input.js';
import type { Terminal } from '../shell/terminal.js';
import { BatchPlan } from './batch-plan.js';
import { errorLines, orderWords, planJson, planTable } from './plan-report.js';

/** @param path of the lines; `-`: stdin */
export async function planCommand(invocation: Invocation, path: string): Promise<number> {
  const { settings, terminal, signal } = invocation;
  const args = settings(CACHE_PLAN);
  const defaults = settingsOf(GENERATE, { ...args, json: true }); // as a batch has them
  checkGenerateArgs(defaults, undefined);
  checkCacheEnvironment(defaults);
  await terminal.configure({ color: args.color, quiet: false, verbose: false });
  const input = await openNamed(path, ROWS, terminal);
  try {
    const found = findModel(args.model);
    const source = await folderSource(found, signal);
    const { folder, dir, shape } = source;
    const tokenizer = (await hasTokenizer(folder)) ? await loadTokenizer(folder) : null;
    const known = await knownOnDisk(defaults, found, source, invocation);
    const chats = new TemplatedPrompts(dir, tokenizer, async () => tokenizer && chatTemplateOf(folder, tokenizer));
    const model = { dir, config: shape.config, tokenizer };
    const plan = new BatchPlan({ model, defaults, known, chats, signal });
    await plan.read(linesOf(input, signal)).finally(() => chats.dispose());
    signal.throwIfAborted();
    await (args.json ? terminal.printJson(planJson(source.name, plan)) : printPlan(terminal, plan));
    return plan.errors.length > 0 ? EXIT.failure : EXIT.ok;
  } finally {
    await input.close();
  }
}

/** null: a batch with these settings does not look there. */
async function knownOnDisk(
  args: GenerateArgs,
  found: FoundModel,
  source: FolderSource,
  invocation: Invocation,
): Promise<KnownLength | null> {
  const saved = await savedFor({ ...args, writeCache: false }, found, invocation);
  if (saved === null) {
    return null;
  }
  const machine = await machineFor(source, args);
  await source.checkWeights();
  await saved.identify(source.folder);
  return saved.store({ ...machine, config: source.shape.config })?.knownLength() ?? null;
}

async function printPlan(terminal: Terminal, plan: BatchPlan): Promise<void> {
  await terminal.printTable(planTable(plan));
  await terminal.print(orderWords(plan));
  for (const line of errorLines(plan)) {
    terminal.error(line);
  }
}
