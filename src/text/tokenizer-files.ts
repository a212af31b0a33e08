// The files of a folder that say something about its tokenizer. Each may be missing: what is read of them, and which one
// counts where two say different things, is decided elsewhere. Reads their texts and bytes, and knows nothing of what is
// in them.

import { KvgenError } from '../errors.js';
import { CONFIG, type FileKind, TOKENIZER } from '../files/file-kinds.js';
import type { ModelFolder } from '../files/model-folder.js';
import { readAll } from '../files/open-file.js';
import { ggufHeader } from '../gguf/folder-header.js';
import type { GgufHeader } from '../gguf/header.js';
import { convertGgufTokenizer, hasGgufTokenizer } from './gguf-tokenizer.js';

/** A file and its text. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** A file and its bytes. */
export interface ByteFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** What there is of them. A folder with tokenizer.json hardly ever needs another vocabulary. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer?: TextFile | undefined;
  /** vocab.json */
  readonly vocab?: TextFile | undefined;
  /** merges.txt */
  readonly merges?: TextFile | undefined;
  /** vocab.txt */
  readonly pieces?: TextFile | undefined;
  /** spiece.model or tokenizer.model */
  readonly sentencePiece?: ByteFile | undefined;
  /** tokenizer_config.json */
  readonly config?: TextFile | undefined;
  /** special_tokens_map.json */
  readonly specialTokens?: TextFile | undefined;
  /** added_tokens.json */
  readonly addedTokens?: TextFile | undefined;
  /** config.json, which may name the class of the tokenizer. */
  readonly modelConfig?: TextFile | undefined;
}

/** From the names of SentencePiece's files. */
const SENTENCE_PIECE = ['spiece.model', 'tokenizer.model'] as const;
/** Sets of files that a tokenizer can be made from; the first that is there is. */
const VOCABULARIES = [
  ['tokenizer.json'],
  ['vocab.json', 'merges.txt'],
  ['vocab.txt'],
  ...SENTENCE_PIECE.map((name) => [name]),
];
/** The checkpoint of nanoGPT, beside which no tokenizer is ever saved. */
const NANO_GPT = 'ckpt.pt';
const NANO_GPT_HELP =
  "nanoGPT saves none; put GPT-2's vocab.json and merges.txt beside ckpt.pt if it was trained with them, or make " +
  'tokenizer.json of its meta.pkl (README, Models), or give --prompt-ids';
const CONVERT =
  'transformers writes the tokenizer.json that is read: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)';
/** What is there in place of those, if all its names are, and what helps. */
const IN_THEIR_PLACE: readonly { readonly names: readonly string[]; readonly help: string }[] = [
  { names: [NANO_GPT], help: NANO_GPT_HELP },
  {
    names: ['encoder.json', 'vocab.bpe'],
    help: "found GPT-2's under the names of OpenAI; rename encoder.json to vocab.json, and vocab.bpe to merges.txt",
  },
  ...['sentencepiece.bpe.model', 'sentencepiece.model', 'spm.model', 'tokenizer.tiktoken', 'tekken.json'].map(
    (name) => ({ names: [name], help: `found ${name}, which is not read; ${CONVERT}` }),
  ),
  { names: ['vocab.json'], help: 'found vocab.json without merges.txt; fetch that too' },
  { names: ['merges.txt'], help: 'found merges.txt without vocab.json; fetch that too' },
];
const EXPECTED = 'expected tokenizer.json, vocab.json and merges.txt, vocab.txt, spiece.model or tokenizer.model';

/** Does the folder have a tokenizer's files? They may still be damaged. */
export async function hasTokenizer(folder: ModelFolder): Promise<boolean> {
  if (folder.single !== undefined) {
    return hasGgufTokenizer((await ggufHeader(folder)).metadata);
  }
  return VOCABULARIES.some((names) => names.every((name) => folder.has(name)));
}

/** @throws KvgenError if there are none, or if one cannot be read */
export async function readTokenizerFiles(folder: ModelFolder): Promise<TokenizerFiles> {
  if (folder.single !== undefined) {
    return fromGguf(await ggufHeader(folder));
  }
  const about = {
    config: await readText(folder, 'tokenizer_config.json'),
    specialTokens: await readText(folder, 'special_tokens_map.json'),
    addedTokens: await readText(folder, 'added_tokens.json'),
    modelConfig: await readText(folder, 'config.json', CONFIG),
  };
  const tokenizer = await readText(folder, 'tokenizer.json');
  if (tokenizer !== undefined) {
    const mayConvert = about.config?.text.includes('"add_prefix_space"'); // see read-parts.ts
    return { tokenizer, ...(mayConvert && { sentencePiece: await readSentencePiece(folder) }), ...about };
  }
  if (!(await hasTokenizer(folder))) {
    const found = IN_THEIR_PLACE.find(({ names }) => names.every((name) => folder.has(name)));
    const help = found?.help ?? `${EXPECTED}; download the folder again with them`;
    throw new KvgenError(`${folder.dir}: no tokenizer: ${help}`);
  }
  return { ...(await readVocabularies(folder)), ...about };
}

function fromGguf({ path, metadata }: GgufHeader): TokenizerFiles {
  const { tokenizer, config } = convertGgufTokenizer(metadata);
  return { tokenizer: { path, text: tokenizer }, config: { path, text: config } };
}

async function readVocabularies(folder: ModelFolder): Promise<TokenizerFiles> {
  return {
    vocab: await readText(folder, 'vocab.json'),
    merges: await readText(folder, 'merges.txt'),
    pieces: await readText(folder, 'vocab.txt'),
    sentencePiece: await readSentencePiece(folder),
  };
}

async function readSentencePiece(folder: ModelFolder): Promise<ByteFile | undefined> {
  const [name] = SENTENCE_PIECE.filter((known) => folder.has(known));
  return name === undefined ? undefined : readBytes(folder, name);
}

/** Characters and bytes of all of them. */
export function sizeOf(files: TokenizerFiles): number {
  const all: (TextFile | ByteFile | undefined)[] = Object.values(files);
  const size = (file: TextFile | ByteFile) => ('text' in file ? file.text : file.bytes).length;
  return all.reduce((sum, file) => sum + (file === undefined ? 0 : size(file)), 0);
}

/** The file that a message about the whole tokenizer names. */
export function mainPath({ tokenizer, vocab, pieces, sentencePiece }: TokenizerFiles): string {
  return (tokenizer ?? vocab ?? pieces ?? sentencePiece)?.path ?? 'the tokenizer';
}

/** undefined: it is not there. */
async function readText(folder: ModelFolder, name: string, kind: FileKind = TOKENIZER): Promise<TextFile | undefined> {
  const text = await folder.readText(name, kind);
  return text === undefined ? undefined : { path: folder.path(name), text };
}

/** undefined: it is not there. */
async function readBytes(folder: ModelFolder, name: string): Promise<ByteFile | undefined> {
  const file = await folder.open(name, TOKENIZER);
  return file === undefined ? undefined : { path: folder.path(name), bytes: Uint8Array.from(await readAll(file)) };
}
