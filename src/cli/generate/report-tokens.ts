// Tokens with their log-probabilities as JSON: events of --jsonl, and lists in the report. The fields are a contract
// with other programs.

import type { CompletionToken } from '../../completion/complete.js';
import type { TokenLogprob } from '../../sampling/logprobs.js';
import { tokenText } from '../../text/detokenizer.js';
import { TokenStream } from '../../text/token-stream.js';
import type { FinishedRun, TextRun } from './samples.js';

/** The event of --jsonl for a token; it has bytes and the likeliest tokens where --logprobs asks for them. */
export function tokenEvent(run: TextRun, token: CompletionToken, index: number): object {
  const which = run.sample === null ? { index } : { sample: run.sample, index };
  const { id, text, logprob } = token;
  const fields = run.args.logprobs === undefined ? { id, text, logprob } : tokenJson(run, token);
  return { type: 'token', ...which, ...fields };
}

/** `tokens` of the report, and `prompt_tokens_detail` where the prompt's log-probabilities were computed. */
export function tokensJson(run: FinishedRun): object {
  if (run.args.logprobs === undefined) {
    return {};
  }
  const tokens = run.completion.tokens.map((token) => tokenJson(run, { ...token, text: textOf(run, token) }));
  return run.promptLogprobs === null ? { tokens } : { tokens, prompt_tokens_detail: promptTokens(run) };
}

/** A special token has its own text here, also where it is no part of the whole. */
function textOf({ tokenizer, args }: TextRun, { id, text }: CompletionToken): string {
  return tokenizer?.isSpecial?.(id) === true && !args.special ? text + tokenText(tokenizer, id) : text;
}

/** The first token has no log-probability, since nothing predicts it. */
function promptTokens(run: FinishedRun): object[] {
  const stream = new TokenStream<Partial<TokenLogprob> & { id: number }>(run.tokenizer, [], { special: true });
  const tokens = run.prompt.ids.flatMap((id, i) => stream.add({ id, ...run.promptLogprobs?.[i - 1] }));
  return [...tokens, ...stream.end()].map((token) => tokenJson(run, token));
}

function tokenJson(run: TextRun, { id, text, bytes, logprob, top }: CompletionToken): object {
  const rivals = top?.map((rival) => ({
    id: rival.id,
    text: rival.text ?? tokenText(run.tokenizer, rival.id),
    bytes: rival.bytes ?? bytesOf(run, rival.id), // two parts of characters have the same text, U+FFFD
    logprob: rival.logprob,
  }));
  const own = bytes ?? bytesOf(run, id);
  return { id, text, bytes: own, logprob: logprob ?? null, ...(rivals === undefined ? {} : { top: rivals }) };
}

/** null: neither a tokenizer here knows them, nor did the server tell. */
function bytesOf({ machine, tokenizer }: TextRun, id: number): number[] | null {
  const isUnknown = machine === null && (tokenizer === null || Number.isNaN(id));
  return isUnknown ? null : [...(tokenizer?.bytes(id) ?? [])];
}
