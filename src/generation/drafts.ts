// Drafts: ids that are guessed to follow a sequence. A pass over the newest id and a draft gives the logits behind each of
// them; as long as the sampler chooses what was guessed, the next logits are known without a pass. So a draft changes how
// many passes it takes, and never which ids are chosen. Knows nothing of how guesses are made, and runs no pass.
// Reference: "Fast inference from transformers via speculative decoding", Leviathan et al. 2023.

import { allot, type PassCost } from './draft-plan.js';

/** What a drafter may look at. */
export interface DraftedText {
  /** All ids so far, prompt first; they only ever grow. */
  readonly ids: readonly number[];
  /** Those that the model sees. */
  readonly window: readonly number[];
}

/** Ids that may come next, in order. */
export interface Guesses {
  readonly ids: readonly number[];
  /** Of each, which kind of guess it is, from 0: those of one kind are right about equally often. */
  readonly kinds: readonly number[];
}

export const NOTHING: Guesses = { ids: [], kinds: [] };

/** Guesses what follows one sequence. */
export interface Drafter {
  /** How often guesses of each kind are right, as far as that is known before there were any. */
  readonly chances: readonly number[];
  /** What a guess costs, as a share of a decode step of the model that checks it; 0: nothing to speak of. */
  readonly share: number;
  /** @param most at least 1 */
  guess(text: DraftedText, most: number): Guesses;
  dispose(): void;
}

export interface DraftOptions {
  /** Ids of a draft, at the most. */
  readonly most: number;
  /** Makes the drafter of a sequence. */
  readonly drafter: () => Drafter;
}

export interface DraftCounts {
  /** Guessed ids that passes have run, and how many of them the sampler then chose. */
  readonly drafted: number;
  readonly accepted: number;
  /** Decode steps. */
  readonly passes: number;
}

/** How much one guess changes what is known of its kind. */
const RATE = 1 / 20;
/** The first guesses of a drafter that costs something: by them it is measured what they cost. */
const FIRST_GUESSES = 2;
/** After so many steps without guesses, since they did not pay, they are tried again; then after twice as many … */
const PATIENCE = 64;

/** The draft of one sequence, and what became of those before. */
export class Drafts {
  readonly #most: number;
  readonly #drafter: Drafter;
  /** How often guesses of each kind are right. Also those that no pass ran are compared: so a kind may come back. */
  #chances: number[];
  /** About the next id and those behind it. */
  #guesses = NOTHING;
  /** How many of the guesses the last pass ran. */
  #ran = 0;
  /** Those behind each of them, copied; as many as were ever needed. */
  readonly #logits: Float32Array[] = [];
  /** Which of the guesses is about the next id. */
  #place = 0;
  /** Those that follow the newest id, where it was a guess that the last pass ran. */
  #next: Float32Array | null = null;
  readonly #counts = { drafted: 0, accepted: 0, passes: 0 };
  /** Milliseconds that a guess takes; null: not measured. */
  #guessMs: number | null = null;
  #stepsWithout = 0;
  #patience = PATIENCE;

  constructor({ most, drafter }: DraftOptions) {
    this.#most = most;
    this.#drafter = drafter();
    this.#chances = [...this.#drafter.chances];
  }

  get counts(): DraftCounts {
    return { ...this.#counts };
  }

  /**
   * Makes a draft.
   * @param room ids that may follow, at the most
   * @param together how many sequences share the pass
   * @returns for each guess the chance that it and all before it are right
   */
  guess(text: DraftedText, room: number, cost: PassCost, together: number): number[] {
    const most = Math.min(room, this.#most);
    const isFree = this.#drafter.share === 0;
    const worth = isFree ? most : this.#worth(most, cost, together);
    const start = isFree ? 0 : performance.now();
    this.#guesses = worth > 0 ? this.#drafter.guess(text, worth) : NOTHING;
    if (!isFree) {
      this.#measure(performance.now() - start);
    }
    this.#place = 0;
    return this.#chancesOf(this.#guesses.kinds);
  }

  /** Shortens the draft to what a pass is to run. @returns its ids */
  take(count: number): readonly number[] {
    this.#ran = count;
    this.#counts.drafted += count;
    this.#counts.passes++;
    return count === this.#guesses.ids.length ? this.#guesses.ids : this.#guesses.ids.slice(0, count);
  }

  /** Copies what a pass gave. @param logits those behind each id of the draft; borrowed from the engine */
  keep(logits: readonly Float32Array[]): void {
    for (const [i, values] of logits.entries()) {
      this.#logits[i] ??= new Float32Array(values.length);
      this.#logits[i]?.set(values);
    }
  }

  /** Called with each id that is chosen: was it guessed? */
  chose(id: number): void {
    const { ids, kinds } = this.#guesses;
    if (this.#place >= ids.length) {
      return;
    }
    const isRight = ids[this.#place] === id;
    const kind = kinds[this.#place] as number;
    const before = this.#chances[kind] as number;
    this.#chances[kind] = before + RATE * ((isRight ? 1 : 0) - before);
    if (isRight && this.#place < this.#ran) {
      this.#next = this.#logits[this.#place] ?? null;
      this.#counts.accepted++;
      this.#place++;
    } else {
      this.#guesses = NOTHING;
    }
  }

  /** The logits that follow the newest id, where the last pass gave them already. They are valid until the next pass. */
  next(): Float32Array | null {
    const logits = this.#next;
    this.#next = null;
    return logits;
  }

  dispose(): void {
    this.#drafter.dispose();
  }

  #chancesOf(kinds: readonly number[]): number[] {
    const chances: number[] = [];
    let chance = 1;
    for (const kind of kinds) {
      chance *= this.#chances[kind] as number;
      chances.push(chance);
    }
    return chances;
  }

  /** How many guesses to ask a drafter for that costs something. */
  #worth(most: number, cost: PassCost, together: number): number {
    if (this.#guessMs === null) {
      return Math.min(most, FIRST_GUESSES);
    }
    const worth = this.#paying(most, cost, together);
    this.#stepsWithout = worth > 0 ? 0 : this.#stepsWithout + 1;
    if (this.#stepsWithout < this.#patience) {
      return worth;
    }
    this.#stepsWithout = 0;
    this.#patience *= 2;
    this.#chances = [...this.#drafter.chances]; // what was known is old
    this.#guessMs = cost.isMeasured ? null : this.#guessMs;
    return this.#worth(most, cost, together);
  }

  /** How many guesses pay, as far as is known of their chance and their cost. */
  #paying(most: number, cost: PassCost, together: number): number {
    const [chance = 0] = this.#chances;
    const perGuess = cost.isMeasured ? (this.#guessMs ?? 0) : this.#drafter.share * cost.of(1);
    const alone = Array.from({ length: most }, (_, i) => chance ** (i + 1));
    const others = Array.from({ length: together - 1 }, () => []);
    return allot([alone, ...others], cost, perGuess)[0] ?? 0;
  }

  /** Takes how long it took to guess. */
  #measure(ms: number): void {
    const count = this.#guesses.ids.length;
    if (count > 0) {
      this.#guessMs ??= ms / count;
      this.#guessMs += RATE * (ms / count - this.#guessMs);
    }
  }
}
