// What the tokenizer classes of transformers add to what a model's files say: the special tokens that they have where no
// file names one, how those are found, and what they put around a text. A class that is not here adds nothing.
// Reference: the `__init__` of the classes in transformers 4.57, models/*/tokenization_*_fast.py.

/** The names of special tokens, in the order in which they get ids. */
export const TOKEN_NAMES = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

export type TokenName = (typeof TOKEN_NAMES)[number];

/** How a token is found that is written as a text alone; otherwise as any special token. */
export interface Manner {
  readonly lstrip?: boolean;
  readonly normalized?: boolean;
}

export interface TokenizerClass {
  /** The tokens that no file needs to name. */
  readonly tokens: Readonly<Partial<Record<TokenName, string>>>;
  readonly manners?: Readonly<Partial<Record<TokenName, Manner>>>;
  /** Those of a tokenizer that is made from older files than tokenizer.json. */
  readonly slowManners?: Readonly<Partial<Record<TokenName, Manner>>>;
  /** So many `<extra_id_…>` are special, where `extra_ids` does not say how many. */
  readonly extraIds?: number;
  /** It puts `bos_token` before a text and `eos_token` behind it where `add_bos_token` and `add_eos_token` say so, or these
   * do where they are missing; a template counts no more. */
  readonly surrounds?: { readonly bos: boolean; readonly eos: boolean };
}

const NORMALIZED: Manner = { normalized: true };
const PLAIN: Manner = { normalized: false };
const MASK: Manner = { lstrip: true, normalized: false };

const GPT2: TokenizerClass = {
  tokens: { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', unk_token: '<|endoftext|>' },
  slowManners: { bos_token: NORMALIZED, eos_token: NORMALIZED, unk_token: NORMALIZED, pad_token: NORMALIZED },
};
const BERT: TokenizerClass = {
  tokens: { unk_token: '[UNK]', sep_token: '[SEP]', pad_token: '[PAD]', cls_token: '[CLS]', mask_token: '[MASK]' },
};
const ROBERTA: TokenizerClass = {
  tokens: {
    bos_token: '<s>',
    eos_token: '</s>',
    unk_token: '<unk>',
    sep_token: '</s>',
    pad_token: '<pad>',
    cls_token: '<s>',
    mask_token: '<mask>',
  },
  manners: { mask_token: MASK },
  slowManners: {
    bos_token: NORMALIZED,
    eos_token: NORMALIZED,
    unk_token: NORMALIZED,
    sep_token: NORMALIZED,
    pad_token: NORMALIZED,
    cls_token: NORMALIZED,
  },
};
const BART: TokenizerClass = { ...ROBERTA, manners: { mask_token: { lstrip: true, normalized: true } } };
const XLM_ROBERTA: TokenizerClass = { tokens: ROBERTA.tokens, manners: { mask_token: { lstrip: true } } };
const ALBERT: TokenizerClass = {
  tokens: { ...BERT.tokens, bos_token: '[CLS]', eos_token: '[SEP]', unk_token: '<unk>', pad_token: '<pad>' },
  manners: { mask_token: MASK },
};
const DEBERTA: TokenizerClass = { tokens: { ...BERT.tokens, bos_token: '[CLS]', eos_token: '[SEP]' } };
const LLAMA: TokenizerClass = {
  tokens: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
  surrounds: { bos: true, eos: false },
};
const T5: TokenizerClass = {
  tokens: { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' },
  extraIds: 100,
};
const XLNET: TokenizerClass = {
  tokens: { ...ROBERTA.tokens, sep_token: '<sep>', cls_token: '<cls>' },
  manners: { mask_token: { lstrip: true } },
};
const QWEN2: TokenizerClass = {
  tokens: { eos_token: '<|endoftext|>', unk_token: '<|endoftext|>', pad_token: '<|endoftext|>' },
  manners: { bos_token: PLAIN, eos_token: PLAIN, unk_token: PLAIN, pad_token: PLAIN },
};

/** By their names without `Fast`. */
const CLASSES = new Map<string, TokenizerClass>([
  ['AlbertTokenizer', ALBERT],
  ['BartTokenizer', BART],
  ['BertTokenizer', BERT],
  ['BloomTokenizer', { tokens: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' } }],
  ['CamembertTokenizer', XLM_ROBERTA],
  ['CodeGenTokenizer', GPT2],
  ['CodeLlamaTokenizer', LLAMA],
  ['CpmTokenizer', XLNET],
  ['DebertaTokenizer', { ...DEBERTA, manners: { mask_token: { lstrip: true } } }],
  ['DebertaV2Tokenizer', DEBERTA],
  ['DistilBertTokenizer', BERT],
  ['ElectraTokenizer', BERT],
  ['GPT2Tokenizer', GPT2],
  ['GPTNeoXTokenizer', { tokens: GPT2.tokens, surrounds: { bos: false, eos: false } }],
  [
    'GemmaTokenizer',
    {
      tokens: { bos_token: '<bos>', eos_token: '<eos>', unk_token: '<unk>', pad_token: '<pad>' },
      surrounds: { bos: true, eos: false },
    },
  ],
  ['LEDTokenizer', BART],
  ['LlamaTokenizer', LLAMA],
  ['LongformerTokenizer', ROBERTA],
  ['MBartTokenizer', XLM_ROBERTA],
  ['MT5Tokenizer', T5],
  ['MobileBertTokenizer', BERT],
  ['Qwen2Tokenizer', QWEN2],
  ['ReformerTokenizer', { tokens: { eos_token: '</s>', unk_token: '<unk>' } }],
  ['RemBertTokenizer', ALBERT],
  ['RobertaTokenizer', ROBERTA],
  ['T5Tokenizer', T5],
  ['XLMRobertaTokenizer', XLM_ROBERTA],
  ['XLNetTokenizer', XLNET],
]);

/** By `model_type` of config.json, where no file names a class. */
const BY_MODEL_TYPE = new Map([
  ['bert', 'BertTokenizer'],
  ['gpt2', 'GPT2Tokenizer'],
  ['gpt_bigcode', 'GPT2Tokenizer'],
  ['gpt_neo', 'GPT2Tokenizer'],
  ['gpt_neox', 'GPTNeoXTokenizer'],
  ['llama', 'LlamaTokenizer'],
  ['mistral', 'LlamaTokenizer'],
  ['qwen2', 'Qwen2Tokenizer'],
  ['qwen3', 'Qwen2Tokenizer'],
  ['roberta', 'RobertaTokenizer'],
  ['t5', 'T5Tokenizer'],
]);

const NONE: TokenizerClass = { tokens: {} };

/** @param name undefined: no file names one */
export function classOf(name: string | undefined): TokenizerClass {
  return CLASSES.get(name ?? '') ?? NONE;
}

export function isKnownClass(name: string | undefined): boolean {
  return CLASSES.has(name ?? '');
}

/** undefined: nobody knows. */
export function classOfModelType(modelType: unknown): string | undefined {
  return typeof modelType === 'string' ? BY_MODEL_TYPE.get(modelType) : undefined;
}
