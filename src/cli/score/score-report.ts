// Scored choices as a table and as JSON. The fields and their meaning are a contract with other programs.

import { jsonText } from '../shell/escape.js';

export interface Choice {
  readonly text: string;
  readonly tokens: number;
  readonly bytes: number;
  /** The sum over its tokens. */
  readonly logprob: number;
}

interface RankedChoice extends Choice {
  /** Among the choices: the softmax of their log-probabilities. */
  readonly probability: number;
}

/** Best first; equals stay in the given order. */
export function rank(choices: readonly Choice[]): RankedChoice[] {
  const best = choices.reduce((most, { logprob }) => Math.max(most, logprob), Number.NEGATIVE_INFINITY);
  const total = choices.reduce((sum, { logprob }) => sum + Math.exp(logprob - best), 0);
  return choices
    .map((choice) => ({ ...choice, probability: Math.exp(choice.logprob - best) / total }))
    .toSorted((a, b) => b.logprob - a.logprob);
}

export function choicesJson(promptTokens: number, choices: readonly RankedChoice[]): object {
  return {
    prompt_tokens: promptTokens,
    choices: choices.map(({ text, tokens, bytes, logprob, probability }) => ({
      text,
      tokens,
      logprob,
      logprob_per_token: logprob / tokens,
      logprob_per_byte: logprob / bytes,
      probability,
    })),
  };
}

/** Choices are shown in quotes, so that a leading space can be seen. */
export function choicesTable(choices: readonly RankedChoice[]): string[][] {
  const rows = choices.map(({ text, tokens, bytes, logprob, probability }) => [
    jsonText(text),
    String(tokens),
    logprob.toFixed(4),
    (logprob / tokens).toFixed(4),
    (logprob / bytes).toFixed(4),
    `${(100 * probability).toFixed(1)} %`,
  ]);
  return [['CHOICE', 'TOKENS', 'LOGPROB', 'PER TOKEN', 'PER BYTE', 'PROBABILITY'], ...rows];
}
