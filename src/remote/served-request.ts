// A request of one text as a server is asked it: every value under the name that this kind of server knows. What it cannot do,
// and would ignore, is refused here by name, with what to do instead. Knows nothing of answers.

import { KvgenError } from '../errors.js';
import type { TextSettings } from '../settings.js';
import type { ServedModel } from './served-model.js';
import type { ServerKind } from './server-kind.js';

/** A text that a server is to make. */
export interface ServedRequest {
  /** Sent as ids where they are known. */
  readonly prompt: { readonly text: string | undefined; readonly ids: readonly number[] | undefined };
  readonly settings: TextSettings;
  readonly seed: number;
  /** Each token comes with its log-probability and those of so many likeliest tokens; undefined: with none. */
  readonly logprobs: number | undefined;
  /** Are the ids of what is generated wanted? */
  readonly wantsIds: boolean;
  /** Is there a tokenizer here, which knows the text of each id? */
  readonly knowsTexts: boolean;
  /** Ids that end an answer of a chat. */
  readonly turnEnds: readonly number[];
  readonly signal: AbortSignal;
}

/** The body of the request. @throws KvgenError that names what the server cannot do */
export function bodyOf(request: ServedRequest, { kind, model, nCtx }: ServedModel): object {
  const { prompt, settings, seed, turnEnds } = request;
  const { temperature, topP, stop } = settings;
  checkServed(request, kind);
  return {
    model,
    prompt: prompt.ids ?? prompt.text,
    max_tokens: maxTokens(request, kind, nCtx),
    temperature,
    top_p: topP,
    seed,
    ...(stop.length > 0 && stop.length <= kind.maxStops && { stop }),
    ...ownNames(settings, kind),
    ...(turnEnds.length > 0 && kind.names.stopIds !== undefined && { [kind.names.stopIds]: turnEnds }),
    ...logprobsOf(request, kind),
    ...kind.besides,
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** @throws KvgenError that names what the server cannot do */
export function checkServed(request: ServedRequest, kind: ServerKind): void {
  const problem = problemsOf(request, kind).find(([holds]) => holds);
  if (problem !== undefined) {
    throw new KvgenError(`${kind.title} ${problem[1]}`);
  }
}

type Problem = readonly [holds: boolean, message: string];

function problemsOf(request: ServedRequest, kind: ServerKind): Problem[] {
  const { prompt, settings, logprobs = 0 } = request;
  const { ids, text } = prompt;
  const { names } = kind;
  return [
    [ids !== undefined && !kind.takesIds, 'takes no token ids; leave --tokenizer and --prompt-ids out'],
    [
      ids === undefined && text === '' && !kind.takesEmpty,
      `takes no empty prompt; ${kind.takesIds ? '--tokenizer gives it a token' : 'give one'}`,
    ],
    [ids === undefined && !settings.bos && names.bos === undefined, 'has no --no-bos; --tokenizer puts nothing there'],
    [settings.maxTokens === 0 && !kind.takesNoTokens, 'cannot do --max-tokens 0; give 1 or more'],
    [request.logprobs !== undefined && kind.logprobs === null, 'gives no log-probabilities in a stream'],
    [logprobs > kind.maxLogprobs, `gives ${kind.maxLogprobs} likeliest tokens at most; --logprobs ${logprobs}`],
    [settings.ignoreEos && names.ignoreEos === undefined, 'cannot do --ignore-eos'],
    [settings.special && names.skipSpecial === undefined && !kind.tellsIds, 'cannot do --special'],
    [
      request.turnEnds.length > 0 && !kind.tellsIds && !kind.idsInLogprobs,
      'cannot do --chat: it tells no ids, and one of them ends the turn',
    ],
    ...samplingProblems(request, kind),
  ];
}

function samplingProblems({ settings, seed }: ServedRequest, { names, maxSeed, maxBias }: ServerKind): Problem[] {
  const { temperature, topK, minP, repeatPenalty, frequencyPenalty, presencePenalty, repeatLastN, logitBias } =
    settings;
  const isDrawn = temperature > 0; // else no filter changes anything
  const isPenalized = repeatPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
  const bias = [...logitBias.values()].find((x) => Math.abs(x) > maxBias && x !== Number.NEGATIVE_INFINITY);
  return [
    [isDrawn && topK > 0 && names.topK === undefined, `has no top-k, and --top-k is ${topK}; --top-k 0 turns it off`],
    [isDrawn && minP > 0 && names.minP === undefined, 'has no min-p; --min-p 0 turns it off'],
    [isDrawn && seed > maxSeed, `takes seeds up to ${maxSeed}; --seed gives it ${seed}`],
    [repeatPenalty !== 1 && names.repeatPenalty === undefined, 'has no --repeat-penalty'],
    [frequencyPenalty !== 0 && names.frequencyPenalty === undefined, 'has no --frequency-penalty'],
    [presencePenalty !== 0 && names.presencePenalty === undefined, 'has no --presence-penalty'],
    [
      isPenalized && repeatLastN !== -1 && names.repeatLastN === undefined,
      `penalizes all tokens; --repeat-last-n -1 says so, ${repeatLastN} cannot be done`,
    ],
    [logitBias.size > 0 && names.logitBias === undefined, 'has no --logit-bias'],
    [bias !== undefined, `takes biases from -${maxBias} to ${maxBias}, or -inf; --logit-bias gives it ${bias}`],
  ];
}

/** What not every server has, with its values, also where these are off: defaults differ. */
function ownNames(settings: TextSettings, kind: ServerKind): object {
  const { names, ban } = kind;
  const { logitBias, repeatLastN } = settings;
  const unsure: readonly string[] = kind.unsure;
  const on: readonly string[] = unsureSettings(settings, kind);
  const values: Readonly<Record<keyof typeof names, unknown>> = {
    topK: settings.topK === 0 && names.repeatLastN === undefined ? -1 : settings.topK, // vLLM has called both off
    minP: settings.minP,
    repeatPenalty: settings.repeatPenalty,
    repeatLastN: names.repeatLastN === 'repetition_context_size' && repeatLastN < 0 ? 2 ** 31 - 1 : repeatLastN,
    frequencyPenalty: settings.frequencyPenalty,
    presencePenalty: settings.presencePenalty,
    logitBias: logitBias.size === 0 ? undefined : biasesOf(logitBias, ban),
    ignoreEos: settings.ignoreEos,
    skipSpecial: !settings.special,
    bos: settings.bos,
    stopIds: undefined,
  };
  const sent = (Object.keys(names) as (keyof typeof names)[]).filter(
    (name) => values[name] !== undefined && (!unsure.includes(name) || on.includes(name)),
  );
  return Object.fromEntries(sent.map((name) => [names[name], values[name]]));
}

/** What is asked for though servers of this kind may not know it. */
export function unsureSettings(settings: TextSettings, { unsure }: ServerKind): ServerKind['unsure'] {
  return settings.temperature > 0 ? unsure.filter((name) => settings[name] > 0) : []; // else no filter changes anything
}

function biasesOf(biases: ReadonlyMap<number, number>, ban: ServerKind['ban']): object {
  return Object.fromEntries([...biases].map(([id, bias]) => [id, bias === Number.NEGATIVE_INFINITY ? ban : bias]));
}

/** @throws KvgenError for "to the end of the context" where that cannot be said */
function maxTokens({ settings, prompt }: ServedRequest, kind: ServerKind, nCtx: number | undefined): number | null {
  if (settings.maxTokens !== -1 && settings.maxTokens !== Number.POSITIVE_INFINITY) {
    return settings.maxTokens;
  }
  if (kind.unlimited !== undefined) {
    return kind.unlimited;
  }
  if (nCtx !== undefined && prompt.ids !== undefined) {
    return Math.max(1, nCtx - prompt.ids.length);
  }
  throw new KvgenError(`${kind.title} cannot do --max-tokens -1 for a prompt of unknown length; give a number`);
}

function logprobsOf({ logprobs, wantsIds, knowsTexts, settings, turnEnds }: ServedRequest, kind: ServerKind): object {
  if (kind.tellsIds) {
    const wanted = logprobs === undefined ? {} : { logprobs, return_tokens_as_token_ids: knowsTexts };
    return { return_token_ids: true, ...wanted };
  }
  if (kind.idsInLogprobs) {
    const isOfUse = logprobs !== undefined || wantsIds || settings.special || turnEnds.length > 0;
    return isOfUse ? { logprobs: Math.max(1, logprobs ?? 1) } : {}; // 0 would give none
  }
  return logprobs === undefined ? {} : { logprobs };
}
