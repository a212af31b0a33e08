// What a request asks for, whichever form it has: the parameters that OpenAI's completions and chats share, with what users
// of vLLM and llama.cpp's server send besides, and the settings that they become. Knows nothing of HTTP.

import { flag, integer, text } from '../kinds.js';
import { GENERATE, settingsOf, type TextSettings, takenBy } from '../settings.js';
import { wrongParameter } from './api-error.js';
import { jsonSetting, notDone, objectOf, type ParametersOf, setting } from './parameters.js';

/** Texts of one prompt, as many as OpenAI gives. */
export const MAX_CHOICES = 128;
/** The likeliest tokens that come with each. */
export const MAX_TOP = 100;

const SERVER = 'an option of kvgen serve, the same for all requests; leave it out';

export const SHARED_PARAMETERS = {
  model: setting(text),
  n: setting(integer({ min: 1, max: MAX_CHOICES })),
  max_tokens: setting(integer({ min: -1 })),
  stop: jsonSetting(GENERATE.stop.kind),
  seed: setting(GENERATE.seed.kind),
  stream: setting(flag),
  stream_options: objectOf({
    include_usage: setting(flag),
    include_obfuscation: notDone('not done; leave it out', [false]),
  }),
  temperature: setting(GENERATE.temperature.kind),
  top_p: setting(GENERATE.topP.kind),
  top_k: topK,
  min_p: setting(GENERATE.minP.kind),
  presence_penalty: setting(GENERATE.presencePenalty.kind),
  frequency_penalty: setting(GENERATE.frequencyPenalty.kind),
  repetition_penalty: setting(GENERATE.repeatPenalty.kind),
  repeat_penalty: setting(GENERATE.repeatPenalty.kind),
  repeat_last_n: setting(GENERATE.repeatLastN.kind),
  logit_bias: jsonSetting(GENERATE.logitBias.kind),
  ignore_eos: setting(flag),
  skip_special_tokens: setting(flag),
  return_token_ids: setting(flag),
  return_tokens_as_token_ids: setting(flag),
  user: setting(text),
  draft: notDone(SERVER),
  cache_salt: notDone('not done: beginnings of prompts are shared between all requests; leave it out'),
  prompt_logprobs: notDone('not done; /v1/completions gives these with echo and logprobs'),
  stop_token_ids: notDone('not done; give the text of the token in stop, or ignore_eos', [[]]),
  min_tokens: notDone('not done; logit_bias bans a token', [0]),
} as const;

export type SharedParameters = ParametersOf<typeof SHARED_PARAMETERS>;

/** vLLM's -1 is off, too. */
function topK(json: unknown, name: string): number {
  return json === -1 ? 0 : GENERATE.topK.kind.fromValue(json, name);
}

/** How an answer is given. */
export interface TextQuery {
  /** undefined: whichever is served. */
  readonly model: string | undefined;
  readonly settings: TextSettings;
  /** Texts of each prompt. */
  readonly n: number;
  /** Is the prompt a part of its text? */
  readonly echo: boolean;
  readonly stream: boolean;
  /** Does a stream end with the numbers of tokens? */
  readonly includeUsage: boolean;
  readonly returnIds: boolean;
  /** Are tokens of log-probabilities named by their ids, as `token_id:262`? */
  readonly namesIds: boolean;
  readonly user: string | undefined;
}

/** What the two forms say in ways of their own. */
interface OwnWays {
  readonly maxTokens: number;
  readonly logprobs: number | undefined;
  readonly bos: boolean;
  readonly echo: boolean;
}

/** The settings where a request gives none: OpenAI's, which filter nothing, and not those of the command. */
const DEFAULTS = { temperature: 1, topP: 1, topK: 0 } as const;

/** @throws ApiError for what cannot go together */
export function textQuery(given: SharedParameters, own: OwnWays, draft: number): TextQuery {
  const { stream = false, stream_options: streamed } = given;
  if (streamed !== undefined && !stream) {
    throw wrongParameter('stream_options', 'stream_options: only with stream: true');
  }
  const { seed = 0, n = 1 } = given;
  if (seed > Number.MAX_SAFE_INTEGER - (n - 1)) {
    throw wrongParameter('seed', `seed ${seed}: seed + n − 1 must be at most 2^53−1`);
  }
  return {
    model: given.model,
    settings: settings(given, own, draft),
    n,
    echo: own.echo,
    stream,
    includeUsage: streamed?.include_usage ?? false,
    returnIds: given.return_token_ids ?? false,
    namesIds: given.return_tokens_as_token_ids ?? false,
    user: given.user,
  };
}

function settings(given: SharedParameters, { maxTokens, logprobs, bos }: OwnWays, draft: number): TextSettings {
  const { repetition_penalty: repetition, repeat_penalty: repeat = repetition } = given;
  if (repetition !== undefined && repetition !== repeat) {
    throw wrongParameter('repeat_penalty', `repeat_penalty ${repeat}: repetition_penalty is another, ${repetition}`);
  }
  return settingsOf(takenBy('library'), {
    ...DEFAULTS,
    ...defined({
      temperature: given.temperature,
      topP: given.top_p,
      topK: given.top_k,
      minP: given.min_p,
      presencePenalty: given.presence_penalty,
      frequencyPenalty: given.frequency_penalty,
      repeatPenalty: repeat,
      repeatLastN: given.repeat_last_n,
      logitBias: given.logit_bias,
      stop: given.stop,
      seed: given.seed,
      ignoreEos: given.ignore_eos,
      special: given.skip_special_tokens === false,
    }),
    maxTokens,
    logprobs,
    bos,
    draft,
  });
}

function defined(values: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
