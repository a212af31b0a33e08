// What servers can do, by their kind: a row each, as their documentation, their source and their answers say. What a row does
// not know is not asked for. Knows nothing of connections.
// Reference: test/servers/README.md

/** How the log-probabilities of k likeliest tokens are asked for; null: a stream has none. */
type LogprobsForm = 'legacy' | 'content' | null;

/** What servers of one kind can do. */
export interface ServerKind {
  /** As JSON has it. */
  readonly name: string;
  /** As people call it. */
  readonly title: string;
  /** Does it take a prompt as ids? */
  readonly takesIds: boolean;
  /** Does it start from the token that begins texts where the prompt is empty? */
  readonly takesEmpty: boolean;
  /** Does `return_token_ids` give the ids of the prompt and of what is generated? */
  readonly tellsIds: boolean;
  /** Are the ids in the log-probabilities, so that these are asked for where ids are wanted? */
  readonly idsInLogprobs: boolean;
  readonly logprobs: LogprobsForm;
  /** The most likeliest tokens that it gives. */
  readonly maxLogprobs: number;
  /** How it scores a prompt: `echo` with `logprobs` and no new token, or vLLM's `prompt_logprobs`; null: not. */
  readonly scoresPrompts: 'echo' | 'prompt_logprobs' | null;
  /** Does `max_tokens: 0` run the prompt and generate nothing? */
  readonly takesNoTokens: boolean;
  /** What `max_tokens` is for "to the end of the context"; undefined: there is no such value. */
  readonly unlimited?: number | null;
  /** Is the id that ends a text among those of the text? */
  readonly givesEnd: boolean;
  /** The most stop strings that it takes; the others are found here. */
  readonly maxStops: number;
  /** The greatest seed. */
  readonly maxSeed: number;
  /** The greatest bias. */
  readonly maxBias: number;
  /** What bans a token: JSON has no −∞. */
  readonly ban: number | string;
  /** The names of settings there; what has none cannot be asked for. */
  readonly names: ServerNames;
  /** Those that many servers of this kind know and others ignore or refuse: sent where the setting is on, and a note says so. */
  readonly unsure: readonly ('topK' | 'minP')[];
  /** What keeps it from doing more than it was asked for. */
  readonly besides: Readonly<Record<string, unknown>>;
}

/** The settings that not every server has. */
export interface ServerNames {
  readonly topK?: string;
  readonly minP?: string;
  readonly repeatPenalty?: string;
  /** How many of the newest tokens the penalties look at; without it, all. */
  readonly repeatLastN?: string;
  readonly frequencyPenalty?: string;
  readonly presencePenalty?: string;
  readonly logitBias?: string;
  readonly ignoreEos?: string;
  /** What keeps special tokens out of the text, as its opposite. */
  readonly skipSpecial?: string;
  /** What puts before a text what its tokenizer puts there. */
  readonly bos?: string;
  /** Ids that end the text. */
  readonly stopIds?: string;
}

/** What an OpenAI-compatible server is expected to have. */
const COMPATIBLE: ServerKind = {
  name: 'openai-compatible',
  title: 'an OpenAI-compatible server',
  takesIds: true, // what it counts is compared
  takesEmpty: false,
  tellsIds: false,
  idsInLogprobs: false,
  logprobs: 'legacy',
  maxLogprobs: 5,
  scoresPrompts: 'echo', // what comes is counted
  takesNoTokens: false,
  givesEnd: false,
  maxStops: 4,
  maxSeed: 2 ** 31 - 1,
  maxBias: 100,
  ban: -100, // as OpenAI has it
  names: { frequencyPenalty: 'frequency_penalty', presencePenalty: 'presence_penalty', logitBias: 'logit_bias' },
  unsure: [],
  besides: {},
};

/** The lowest number of a float16: it leaves nothing of a token. */
const LOWEST = -65_504;

export const KINDS = {
  compatible: {
    ...COMPATIBLE,
    names: { ...COMPATIBLE.names, topK: 'top_k', minP: 'min_p' },
    unsure: ['topK', 'minP'],
  },
  kvgen: {
    ...COMPATIBLE,
    name: 'kvgen',
    title: 'kvgen serve',
    takesEmpty: true,
    tellsIds: true,
    maxLogprobs: 100,
    takesNoTokens: true,
    unlimited: -1,
    maxStops: Number.POSITIVE_INFINITY,
    maxSeed: Number.MAX_SAFE_INTEGER,
    maxBias: Number.POSITIVE_INFINITY,
    ban: '-inf',
    names: {
      ...COMPATIBLE.names,
      topK: 'top_k',
      minP: 'min_p',
      repeatPenalty: 'repeat_penalty',
      repeatLastN: 'repeat_last_n',
      ignoreEos: 'ignore_eos',
      skipSpecial: 'skip_special_tokens',
      bos: 'add_special_tokens',
    },
  },
  vllm: {
    ...COMPATIBLE,
    name: 'vllm',
    title: 'vLLM',
    tellsIds: true,
    maxLogprobs: 20,
    scoresPrompts: 'prompt_logprobs',
    givesEnd: true,
    maxStops: Number.POSITIVE_INFINITY,
    maxSeed: Number.MAX_SAFE_INTEGER,
    names: {
      ...COMPATIBLE.names,
      topK: 'top_k',
      minP: 'min_p',
      repeatPenalty: 'repetition_penalty',
      ignoreEos: 'ignore_eos',
      skipSpecial: 'skip_special_tokens',
      bos: 'add_special_tokens',
      stopIds: 'stop_token_ids',
    },
  },
  llamaCpp: {
    ...COMPATIBLE,
    name: 'llama.cpp',
    title: "llama.cpp's server",
    scoresPrompts: null,
    idsInLogprobs: true,
    logprobs: 'content',
    maxLogprobs: Number.POSITIVE_INFINITY,
    unlimited: -1,
    givesEnd: true,
    maxStops: Number.POSITIVE_INFINITY,
    maxSeed: 2 ** 32 - 2, // the next one stands for a random one
    maxBias: Number.POSITIVE_INFINITY,
    ban: LOWEST,
    names: {
      ...COMPATIBLE.names,
      topK: 'top_k',
      minP: 'min_p',
      repeatPenalty: 'repeat_penalty',
      repeatLastN: 'repeat_last_n',
    },
    besides: {
      ignore_eos: false, // true would ban the token
      samplers: ['penalties', 'top_k', 'top_p', 'min_p', 'temperature'],
      mirostat: 0,
      dynatemp_range: 0,
      cache_prompt: true,
    },
  },
  mlx: {
    ...COMPATIBLE,
    name: 'mlx-lm',
    title: 'mlx-lm',
    takesIds: false,
    scoresPrompts: null,
    logprobs: null,
    maxStops: 0, // in a stream it leaves the stop string out and goes on behind it
    maxBias: Number.POSITIVE_INFINITY,
    ban: LOWEST,
    names: {
      logitBias: 'logit_bias',
      topK: 'top_k',
      minP: 'min_p',
      repeatPenalty: 'repetition_penalty',
      repeatLastN: 'repetition_context_size',
    },
  },
} as const satisfies Record<string, ServerKind>;
