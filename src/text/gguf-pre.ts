// How llama.cpp splits a text into words, by the name that a GGUF file gives it in `tokenizer.ggml.pre`: patterns, each of
// which cuts what the ones before have left whole. Only those are here that the byte-level tokenizers of the architectures
// have which kvgen computes, and whose patterns are llama.cpp's own; any other is refused by name.
// Reference: `llm_tokenizer_bpe` and `llama_vocab::impl::load` of ggml-org/llama.cpp src/llama-vocab.cpp.

export interface PreTokenization {
  /** In the syntax of a tokenizer.json. */
  readonly patterns: readonly string[];
  /** A word that is a token needs no merges. */
  readonly ignoresMerges?: boolean;
  /** The token that begins a text is put in where the file does not say whether. */
  readonly addsBos?: boolean;
}

const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const MARKS_AND_SPACE = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const UPPER_LOWER = '[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))*((?=[\\p{L}])([^A-Z]))+';
const UPPER = '[^\\r\\n\\p{L}\\p{N}]?((?=[\\p{L}])([^a-z]))+((?=[\\p{L}])([^A-Z]))*';
const MARKS_WITH_SLASH = MARKS_AND_SPACE.replace('[\\r\\n]*', '[\\r\\n/]*');

const gpt2: PreTokenization = { patterns: [GPT2] };
const digits: PreTokenization = { patterns: ['\\p{N}', GPT2] };
const llama3: PreTokenization = {
  patterns: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${MARKS_AND_SPACE}`],
};
const qwen2: PreTokenization = {
  patterns: [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${MARKS_AND_SPACE}`],
};
const wholeLlama3: PreTokenization = { ...llama3, ignoresMerges: true, addsBos: true };

/** The name of a file that says nothing. */
export const DEFAULT_PRE = 'default';

export const PRE_TOKENIZATIONS: ReadonlyMap<string, PreTokenization> = new Map([
  [DEFAULT_PRE, { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]'] }],
  ...named(gpt2, 'gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 mpt olmo jais trillion'),
  ...named(digits, 'smollm starcoder refact command-r codeshell exaone minerva-7b mellum2'),
  ...named(wholeLlama3, 'llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2'),
  ...named(llama3, 'dbrx smaug-bpe glm4 chatglm-bpe'),
  ...named(qwen2, 'qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2'),
  ['falcon', { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2, '[0-9][0-9][0-9]'] }],
  ['tekken', { patterns: [`${UPPER_LOWER}|${UPPER}|\\p{N}|${MARKS_WITH_SLASH}`], ignoresMerges: true, addsBos: true }],
  ...named(
    { patterns: [`${UPPER_LOWER}${CONTRACTIONS}?|${UPPER}${CONTRACTIONS}?|\\p{N}{1,3}|${MARKS_WITH_SLASH}`] },
    'gpt-4o llama4',
  ),
]);

/** They never look at a character more than a few times. */
export const GGUF_PATTERNS: ReadonlySet<string> = new Set(
  [...PRE_TOKENIZATIONS.values()].flatMap(({ patterns }) => patterns),
);

function named(kind: PreTokenization, names: string): [string, PreTokenization][] {
  return names.split(' ').map((name) => [name, kind]);
}
