// The colours of --color-by-probability, put around the text of each token, and the legend that explains them. A colour
// ends before a newline, and with the token, so that none is ever left open. Knows nothing of streams.

import type { CompletionToken } from '../../completion/complete.js';
import { type Color, colorName, colorOfProbability, ink, SCALE } from '../shell/palette.js';
import type { Terminal } from '../shell/terminal.js';
import type { TextRun } from './samples.js';

type Chalk = Terminal['chalk'];

/** Stands for the text, so that chalk, which changes what it colours where that holds escapes, never sees it. */
const PLACE = 'x';

export class TokenColors {
  readonly #chalk: Chalk;
  readonly #around = new Map<Color, readonly [open: string, close: string]>();
  /** Of each text, the log-probability of what waits for the rest of its character or of a possible stop string. */
  readonly #waiting = new Map<TextRun, number | undefined>();
  #hasColored = false;
  #hasUnknown = false;

  constructor(chalk: Chalk) {
    this.#chalk = chalk;
  }

  /** The text of tokens. What several of them released together is as likely as the least likely of them. */
  paint(run: TextRun, tokens: readonly CompletionToken[]): string {
    return tokens.map((token) => this.#token(run, token)).join('');
  }

  /** undefined: no text was there to be coloured. */
  legend(chalk: Chalk): string | undefined {
    if (!this.#hasColored) {
      return this.#hasUnknown ? 'probability of each token: not known, so there are no colours' : undefined;
    }
    const steps = SCALE.map(({ atLeast, color }, i) => {
      const limit = atLeast > 0 ? `≥ ${percent(atLeast)}` : `< ${percent(SCALE[i - 1]?.atLeast ?? 1)}`;
      return ink(color, chalk)(`${colorName(color, this.#chalk)} ${limit}`);
    });
    const unknown = this.#hasUnknown ? ['no colour: not known'] : [];
    return `probability of each token: ${[...steps, ...unknown].join(' · ')}`;
  }

  #token(run: TextRun, { id, text, logprob }: CompletionToken): string {
    const likelihood = this.#waiting.has(run) ? least(this.#waiting.get(run), logprob) : (logprob ?? undefined);
    if (text !== '') {
      this.#waiting.delete(run);
      return this.#colored(text, likelihood);
    }
    if (run.tokenizer?.isSpecial?.(id) !== true) {
      this.#waiting.set(run, likelihood); // a special token has no text that could come later
    }
    return '';
  }

  #colored(text: string, logprob: number | undefined): string {
    if (logprob === undefined) {
      this.#hasUnknown = true;
      return text;
    }
    this.#hasColored = true;
    const [open, close] = this.#codes(colorOfProbability(Math.exp(logprob)));
    return text.replace(/[^\r\n]+/g, (line) => open + line + close);
  }

  #codes(color: Color): readonly [open: string, close: string] {
    const known = this.#around.get(color);
    if (known !== undefined) {
      return known;
    }
    const [open = '', close = ''] = ink(color, this.#chalk)(PLACE).split(PLACE);
    this.#around.set(color, [open, close]);
    return [open, close];
  }
}

/** undefined: one of them is not known, so neither is what they made together. */
function least(a: number | undefined, b: number | undefined): number | undefined {
  return a == null || b == null ? undefined : Math.min(a, b);
}

function percent(share: number): string {
  return `${100 * share} %`;
}
