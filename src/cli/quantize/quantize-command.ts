// `kvgen quantize`: writes an int8 folder of a model, and measures on a text what that costs. The simd engine does the
// converting when it opens the model in int8.

import { writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { WeightsName } from '../../backends.js';
import { contextSize } from '../../completion/request.js';
import { EXIT, KvgenError, megabytes, UsageError } from '../../errors.js';
import { TEXT } from '../../files/file-kinds.js';
import { int8Tensors } from '../../library/int8-tensors.js';
import { type FolderSource, folderSource, type Model, openModel } from '../../library/model.js';
import { throwFirst } from '../../settings.js';
import { tokenizerCompanions } from '../../text/gguf-companions.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { findModel, weightBytes } from '../../weights/find.js';
import { type Companions, readCompanions, writeInt8Folder } from '../../weights/int8-folder.js';
import { writeFolder } from '../../weights/new-folder.js';
import type { WrittenTensor } from '../../weights/write-safetensors.js';
import { hasDocuments, modelScorer, textLoss, usualStride } from '../score/text-loss.js';
import type { Invocation } from '../shell/command.js';
import { QUANTIZE, type QuantizeArgs } from '../shell/command-settings.js';
import { readUtf8 } from '../shell/prompt-input.js';
import { type Losses, lossWords, modelCard, type Sizes } from './model-card.js';

interface QuantizeRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly source: FolderSource;
  readonly companions: Companions;
  readonly output: string;
  readonly threads: number | undefined;
  /** What the loss is measured on. */
  readonly measured: Measured | undefined;
}

interface Measured {
  readonly file: string;
  readonly text: string;
  readonly tokenizer: Tokenizer;
}

interface Quantized {
  readonly sizes: Sizes;
  /** undefined: not measured. */
  readonly losses: Losses | undefined;
  /** For the statistics. */
  readonly counts: string;
}

export async function quantizeCommand(invocation: Invocation): Promise<number> {
  const { words, terminal, signal } = invocation;
  const started = performance.now();
  const args = invocation.settings(QUANTIZE);
  const { model, output } = checkedArgs(words[0], args);
  await terminal.configure(args);
  const source = await folderSource(findModel(model), invocation.signal);
  if (source.stored === 'int8') {
    throw new KvgenError(`${source.dir}: its weights are int8 already; name the folder that it was made from`);
  }
  const measured = args.perplexity === undefined ? undefined : await readMeasured(args.perplexity, source, invocation);
  // Before the work: one of them may not be readable.
  const companions = new Map([...(await readCompanions(source.folder)), ...(await tokenizerCompanions(source.folder))]);
  const run = { source, companions, output, threads: args.threads, measured, terminal, signal };
  const { sizes, losses, counts } = await writeFolder(output, (dir) => quantize(run, dir));
  terminal.progressDone();
  await terminal.print(resultLine(output, sizes, losses));
  terminal.statistics(`${counts} · ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return EXIT.ok;
}

function checkedArgs(model: string | undefined, { output, quiet, verbose }: QuantizeArgs) {
  throwFirst([[quiet && verbose, '--quiet cannot go with --verbose']]);
  if (model === undefined) {
    throw new UsageError('expected a model: kvgen quantize <dir or name> -o <folder>');
  }
  if (output === undefined) {
    throw new UsageError('expected --output, the folder to write: kvgen quantize <dir or name> -o <folder>');
  }
  return { model, output };
}

async function readMeasured(file: string, { folder }: FolderSource, invocation: Invocation): Promise<Measured> {
  return { file, text: await readUtf8(file, TEXT, invocation), tokenizer: await loadTokenizer(folder) };
}

/** Fills the folder `dir`. */
async function quantize(run: QuantizeRun, dir: string): Promise<Quantized> {
  const { source, companions, output, measured, terminal, signal } = run;
  const before = measured && (await withModel(run, 'float32', (model) => lossOf(run, model, measured)));
  return withModel(run, 'int8', async (model) => {
    const after = measured && (await lossOf(run, model, measured));
    const tensors = await int8Tensors(model, source, signal);
    const onProgress = (done: number, total: number) => terminal.progress(`writing ${done}/${total}`);
    await writeInt8Folder(dir, tensors, companions, { signal, onProgress });
    const sizes = { before: source.bytes, after: weightBytes({ dir }) };
    const losses = measured && before !== undefined && after !== undefined ? { ...measured, before, after } : undefined;
    const card = modelCard({ name: source.name, folder: basename(resolve(output)), sizes, losses });
    await writeFile(join(dir, 'README.md'), card);
    signal.throwIfAborted();
    return { sizes, losses, counts: countsOf(tensors, model) };
  });
}

async function withModel<T>(
  { source, threads, terminal, signal }: QuantizeRun,
  weights: WeightsName,
  use: (model: Model) => Promise<T>,
): Promise<T> {
  const onProgress = (line: string) => terminal.progress(`${weights}: ${line}`);
  const tokenizer = async () => null;
  const model = await openModel(source, { backend: 'simd', weights, threads, signal, onProgress, tokenizer });
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}

/** Each document for itself where the text has several. */
async function lossOf(
  { terminal, signal }: QuantizeRun,
  model: Model,
  { file, text, tokenizer }: Measured,
): Promise<number> {
  const nCtx = contextSize(undefined, model.config);
  const perDocument = hasDocuments(text) && tokenizer.eosId !== undefined;
  const [scorer, stride] = [modelScorer(model), usualStride(nCtx)];
  const run = { scorer, tokenizer, file, nCtx, stride, perDocument, bos: true, terminal, signal };
  return (await textLoss(run, text)).loss;
}

function countsOf(tensors: readonly WrittenTensor[], { threads }: Model): string {
  const matrices = tensors.filter(({ dtype }) => dtype === 'I8').length;
  const others = tensors.length - 2 * matrices; // a matrix has its scales beside it
  return `${matrices} matrices in int8, ${others} other tensors · ${threads} thread${threads === 1 ? '' : 's'}`;
}

function resultLine(output: string, sizes: Sizes, losses: Losses | undefined): string {
  const line = `${output}: weights ${megabytes(sizes.before)} → ${megabytes(sizes.after)}`;
  return losses === undefined ? line : `${line} · loss ${lossWords(losses)}`;
}
