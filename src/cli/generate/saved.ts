// What generate may find on disk: opens the stores that were asked for, and says which model the prompts belong to.

import { KvgenError } from '../../errors.js';
import { SavedPrompts } from '../../generation/saved-prompts.js';
import { readLimits, type StoreArgs, wantsPromptCache } from '../../settings.js';
import { AnswerStore } from '../../store/answers.js';
import { fileState, fingerprint } from '../../store/fingerprint.js';
import { openStore, type StoreKind, storeRoot } from '../../store/location.js';
import { PromptStore } from '../../store/prompts.js';
import { alignedFloat32 } from '../../weights/aligned.js';
import type { FoundModel } from '../../weights/find.js';
import type { Terminal } from '../shell/terminal.js';
import { firstWords } from './answer-cache.js';

export interface Saved {
  readonly fingerprint: string;
  /** null: not asked for. */
  readonly answers: AnswerStore | null;
  /** For the prompt of this text; null: not asked for. */
  prompts(nHead: number, text: string | undefined): SavedPrompts | null;
  /** Are the model's files what they were when the fingerprint was taken? */
  unchanged(): Promise<boolean>;
}

/** Exit 2 for what the environment says wrong, whether it is needed or not. */
export function checkCacheEnvironment(args: StoreArgs): void {
  readLimits(process.env);
  wantsPromptCache(args, process.env);
}

/** @returns null where neither cache was asked for */
export async function openSaved(args: StoreArgs, found: FoundModel, terminal: Terminal): Promise<Saved | null> {
  const wanted = { prompts: wantsPromptCache(args, process.env), answers: args.answerCache };
  if (!wanted.prompts && !wanted.answers) {
    return null;
  }
  const root = await storeRoot(args.cacheDir);
  const onNote = (line: string) => terminal.note(line);
  const open = (kind: StoreKind) => (wanted[kind] ? openStore(root, kind, args.writeCache, onNote) : undefined);
  const [promptFolder, answerFolder] = [open('prompts'), open('answers')];
  const { fingerprint: hash, state } = await fingerprint(found.dir, {
    folder: promptFolder ?? answerFolder,
    write: args.writeCache,
    onProgress: () => terminal.progress(`hashing ${found.name}`),
  });
  const common = { write: args.writeCache, limits: readLimits(process.env), onNote: verbose(args, terminal) };
  const prompts = { ...common, fingerprint: hash, model: found.name, folder: promptFolder, allocate: alignedFloat32 };
  return {
    fingerprint: hash,
    answers: wanted.answers ? new AnswerStore({ ...common, folder: answerFolder }) : null,
    prompts: (nHead, text) =>
      wanted.prompts ? new SavedPrompts(new PromptStore({ ...prompts, nHead }), nHead, firstWords(text ?? '')) : null,
    unchanged: async () => (await fileState(found.dir)).state === state,
  };
}

/** @throws KvgenError when the model was replaced while it was being loaded */
export async function checkUnchanged(saved: Saved | null, { dir }: FoundModel): Promise<void> {
  if (saved !== null && !(await saved.unchanged())) {
    throw new KvgenError(
      `${dir}: changed while it was being loaded, so what is saved does not belong to it; run again`,
    );
  }
}

function verbose({ verbose }: StoreArgs, terminal: Terminal): (line: string) => void {
  return (line) => (verbose ? terminal.note(line) : undefined);
}
