// Opens the saved prompts and answers of a model, whose fingerprint they belong to. Knows nothing of what is in them.

import { cacheDtypeOf } from '../../backends.js';
import type { ModelFolder } from '../../files/model-folder.js';
import { SavedPrompts } from '../../generation/saved-prompts.js';
import type { Model } from '../../library/model.js';
import { readLimits, type StoreArgs, wantsPromptCache } from '../../settings.js';
import { AnswerStore } from '../../store/answers.js';
import { fingerprint, fingerprintOf } from '../../store/fingerprint.js';
import { Ledger } from '../../store/ledger.js';
import { openStore, type StoreKind, storeRoot } from '../../store/location.js';
import { PromptStore } from '../../store/prompts.js';
import type { StoreFolder } from '../../store/store-folder.js';
import type { FoundModel } from '../../weights/find.js';
import { cacheKey } from '../shell/cache-key.js';
import type { Invocation } from '../shell/command.js';
import { printable } from '../shell/escape.js';

/** Characters of a prompt that `kvgen cache ls` shows. */
const WORDS = 60;

/** What decides which saved prompts are a model's, once it is known. */
type PromptsOfModel = Pick<Model, 'backend' | 'weights' | 'config'>;

export interface Saved {
  /** Of the model's files, once `identify` has been called. */
  readonly fingerprint: string;
  /** null: not asked for. */
  readonly answers: AnswerStore | null;
  /** The store of what is computed from the model on such a machine; null: not asked for. */
  store(of: PromptsOfModel): PromptStore | null;
  /** The saved prompts, for a prompt of this text; null: not asked for. */
  prompts(model: Model, text: string | undefined): SavedPrompts | null;
  /**
   * Says which model it is: the one that all files opened so far make. To be called when the model is loaded, and before
   * that where an answer is looked for.
   * @throws KvgenError when one of the files has changed since it was opened
   */
  identify(folder: ModelFolder): Promise<void>;
}

/** Opens what is asked for: saved prompts, saved answers, or both. */
export async function openSaved(
  args: StoreArgs,
  { name }: FoundModel,
  { terminal, signal }: Pick<Invocation, 'terminal' | 'signal'>,
): Promise<Saved> {
  const wanted = { prompts: wantsPromptCache(args, process.env), answers: args.answerCache };
  const root = await storeRoot(args.cacheDir);
  const key = await cacheKey(process.env, signal);
  const open = (kind: StoreKind) =>
    wanted[kind] ? openStore(root, kind, args.writeCache, (line) => terminal.note(line), key) : undefined;
  const [promptFolder, answerFolder] = [open('prompts'), open('answers')];
  const [promptLedger, answerLedger] = [promptFolder, answerFolder].map((folder) =>
    folder === undefined || !args.writeCache ? undefined : openLedger(folder),
  );
  let known: string | undefined;
  const files = () => {
    if (known === undefined) {
      throw new Error('the model was not identified');
    }
    return known;
  };
  const onNote = (line: string) => (args.verbose ? terminal.note(line) : undefined);
  const common = { write: args.writeCache, limits: readLimits(process.env), onNote };
  const storeFor = (model: PromptsOfModel) => {
    const of = {
      fingerprint: fingerprintOf(files(), computation(model)),
      dtype: args.cacheDtype ?? cacheDtypeOf(model.backend),
      shape: model.config,
      model: name,
    };
    return new PromptStore({ ...common, ...of, folder: promptFolder, ledger: promptLedger });
  };
  return {
    get fingerprint() {
      return files();
    },
    answers: wanted.answers ? new AnswerStore({ ...common, folder: answerFolder, ledger: answerLedger }) : null,
    store: (of) => (wanted.prompts ? storeFor(of) : null),
    prompts: (model, text) =>
      wanted.prompts
        ? new SavedPrompts(model.engine, storeFor(model), firstWords(text ?? ''), args.keep !== 'prompt')
        : null,
    async identify(folder) {
      const onProgress = () => terminal.progress(`hashing ${name}`);
      known = await fingerprint(folder, { folder: promptFolder ?? answerFolder, write: args.writeCache, onProgress });
    },
  };
}

/** Counts the use of a folder. What is not written when the process ends is written then, however it ends. */
function openLedger(folder: StoreFolder): Ledger {
  const ledger = new Ledger(folder);
  process.once('exit', () => ledger.flush());
  return ledger;
}

/** What rounds as no other engine does; undefined: TensorFlow.js, on any of its backends. */
function computation({ backend, weights }: PromptsOfModel): string | undefined {
  return backend === 'simd' ? `simd-${weights}` : undefined;
}

/** The beginning of a prompt, on one line. */
export function firstWords(text: string): string {
  const line = printable(text.slice(0, 2 * WORDS)).trim();
  return line.length > WORDS ? `${line.slice(0, WORDS - 1).replace(/[\ud800-\udbff]$/, '')}…` : line;
}
