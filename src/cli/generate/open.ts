// A model ready to run: TensorFlow, the weights and the tokenizer, with what there is to see meanwhile. For every
// command that runs a model on a text.

import { type Model, openModel } from '../../library/model.js';
import type { GenerateArgs } from '../../settings.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { type Backend, loadBackend } from '../../tf/backend.js';
import { type FoundModel, weightBytes } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import { checkUnchanged, type Saved } from './saved.js';

export interface OpenRequest extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: Pick<GenerateArgs, 'backend' | 'threads' | 'engine' | 'cache' | 'verbose'>;
  readonly found: FoundModel;
  /** null: neither cache was asked for. */
  readonly saved: Saved | null;
}

export interface OpenedModel {
  readonly backend: Backend;
  /** The caller's to dispose. */
  readonly model: Model;
  readonly tokenizer: Tokenizer | null;
}

export async function openEverything(
  { args, found, saved, terminal, signal }: OpenRequest,
  openTokenizer: () => Promise<Tokenizer | null>,
): Promise<OpenedModel> {
  terminal.progress('loading TensorFlow');
  const { engine, cache, threads } = args;
  const modelBytes = weightBytes(found.dir);
  const backend = await loadBackend({ choice: args.backend, threads, modelBytes, graph: cache && engine !== 'eager' });
  if (backend.note !== undefined) {
    terminal.note(backend.note);
  }
  const [tokenizer, model] = await Promise.all([
    openTokenizer(),
    openModel(found.dir, backend, {
      signal,
      engine: cache ? engine : 'eager',
      onNote: (line) => (args.verbose ? terminal.note(line) : undefined),
      onProgress: (done, total) => terminal.progress(`loading ${found.name} ${done}/${total}`),
    }),
  ]);
  try {
    await checkUnchanged(saved, found);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return { backend, model, tokenizer };
}
