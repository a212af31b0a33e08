// One text on its way to the prompt cache on disk. The loop hands over its keys and values at its end; they are written when
// the text has been shown, which must not wait for a disk. Knows nothing of files.

import type { SavedPrompts } from './saved-prompts.js';
import type { EndedText, Prefilled, PromptCache, Restored } from './sequence.js';

export class SavedText implements PromptCache {
  readonly #prompts: SavedPrompts;
  readonly #runsPrompt: boolean;
  readonly #signal: AbortSignal | undefined;
  /** Its cache is a fork, to be disposed. */
  #ended: EndedText | null = null;

  /**
   * @param runsPrompt is it, of the texts that go on from the prompt, the one whose loop runs it?
   * @param signal once it has aborted, nothing that was generated is kept; undefined: it is kept even then
   */
  constructor(prompts: SavedPrompts, runsPrompt: boolean, signal?: AbortSignal) {
    this.#prompts = prompts;
    this.#runsPrompt = runsPrompt;
    this.#signal = signal;
  }

  /** undefined: what was generated is not kept. */
  get keepText(): ((ended: EndedText) => void) | undefined {
    if (!this.#prompts.keepsTexts || this.#signal?.aborted) {
      return undefined;
    }
    return (ended) => {
      this.#ended = { ...ended, cache: ended.cache.fork() };
    };
  }

  restore(promptIds: readonly number[], known?: number): Restored | null {
    return this.#runsPrompt ? this.#prompts.restore(promptIds, known) : null;
  }

  keep(prefilled: Prefilled): void {
    if (this.#runsPrompt) {
      this.#prompts.keep(prefilled);
    }
  }

  /**
   * Ends it: writes what the loop has handed over.
   * @param isWanted false: it is dropped
   * @returns how many tokens were written, those of its prompt included if it has run the prompt
   */
  finish(isWanted: boolean): number {
    const ended = this.#ended;
    this.#ended = null;
    try {
      const written = isWanted && ended !== null ? this.#prompts.keepText(ended) : 0;
      return written + (this.#runsPrompt ? (this.#prompts.report?.writtenTokens ?? 0) : 0);
    } finally {
      ended?.cache.dispose();
    }
  }
}
