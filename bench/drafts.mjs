// What drafts are worth: the same texts decoded without and with --draft, in turns, by wall clock. The texts are given, so
// that no trained model is needed: a sampler "chooses" them id by id, and every pass is a real one. Prints a Markdown table.
//
//     node bench/drafts.mjs [model] [weights] [backend] [n] [rounds]      (default: random:124M int8 simd 8 3)

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ModelFolder } from '../dist/files/model-folder.js';
import { generate } from '../dist/generation/generate.js';
import { PromptLookup } from '../dist/generation/prompt-lookup.js';
import { folderSource, openModel, randomSource } from '../dist/library/model.js';
import { loadTokenizer } from '../dist/text/tokenizer.js';
import { findModel } from '../dist/weights/find.js';

const [name = 'random:124M', weights = 'int8', backend = 'simd', most = '8', rounds = '3'] = process.argv.slice(2);
const TOKENS = 300;

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const source = randomSource(name, 0) ?? (await folderSource(findModel(name)));
const model = await openModel(source, { backend, weights, tokenizer: async () => null });
const { vocabSize, nPositions } = model.config;
const tokenizer = await loadTokenizer(
  new ModelFolder(here(vocabSize > 50000 ? 'test/fixtures/gpt2-tokenizer' : 'models/stories')),
);

const code = readFileSync(here('src/generation/generate-many.ts'), 'utf8').slice(1500, 3500);
const prose = readFileSync(here('README.md'), 'utf8').slice(1900, 4600);
const sentences = prose.split(/(?<=\.)\s/);
const list = JSON.stringify(
  Array.from({ length: 40 }, (_, i) => ({ id: i, name: `user ${(i * 7919) % 97}`, tags: ['a', 'b'].slice(i % 2) })),
  null,
  1,
);
const random = Array.from({ length: 800 }, (_, i) => (i * i * 7919 + i * 104729) % vocabSize);

/** A prompt and what a good model might answer to it. */
const PAIRS = [
  ['code, edited', code, code.replaceAll('member', 'part').replaceAll('this.#engine', 'engine')],
  ['a list', list.slice(0, 300), list.slice(300)],
  [
    'a summary with quotes',
    prose,
    sentences.map((s, i) => (i % 3 === 0 ? `It says: "${s}" ` : 'Then more follows here. ')).join(''),
  ],
  ['code, new', code.slice(0, 300), code.slice(300)],
];
const TEXTS = [];
for (const [title, prompt, answer] of PAIRS) {
  TEXTS.push({ title, prompt: await ids(prompt), answer: await ids(answer) });
}
TEXTS.push({ title: 'nothing repeats', prompt: random.slice(0, 64), answer: random.slice(64) });

const DRAFT = { most: Number(most), drafter: () => new PromptLookup() };
const measured = TEXTS.map(() => ({ plain: [], drafted: [] }));
for (let round = -1; round < Number(rounds); round++) {
  for (const [i, text] of TEXTS.entries()) {
    const [plain, drafted] = [await decode(text, undefined), await decode(text, DRAFT)];
    if (round >= 0) {
      measured[i].plain.push(plain);
      measured[i].drafted.push(drafted);
    }
  }
}
console.log(`${name}, ${weights}, ${backend}, ${model.threads} threads, --draft ${most}\n`);
console.log(
  '| text | ms/token | with drafts | times as fast | tokens a pass | accepted |\n|---|---:|---:|---:|---:|---:|',
);
for (const [i, { title }] of TEXTS.entries()) {
  const { plain, drafted } = measured[i];
  const [before, after] = [median(plain), median(drafted)];
  const { drafted: guessed, accepted, passes } = drafted.at(-1).drafts;
  const row = [title, before.toFixed(2), after.toFixed(2), (before / after).toFixed(2)];
  console.log(`| ${[...row, ((passes + accepted) / passes).toFixed(2), `${accepted} of ${guessed}`].join(' | ')} |`);
}
model.dispose();

async function ids(text) {
  return [...(await tokenizer.encode(text))].map((id) => id % vocabSize);
}

/** The measurements of one text. */
async function decode({ prompt, answer }, draft) {
  const all = [...prompt.slice(0, nPositions - TOKENS), ...answer];
  const length = Math.min(prompt.length, nPositions - TOKENS);
  const options = { nCtx: nPositions, stopIds: [], cache: true, onFull: 'stop', draft };
  const maxTokens = Math.min(TOKENS, answer.length);
  const tokens = generate(model.engine, (_, known) => all[known.length], all.slice(0, length), {
    ...options,
    maxTokens,
  });
  for (;;) {
    const next = await tokens.next();
    if (next.done) {
      return next.value.stats;
    }
  }
}

/** Milliseconds for a token. */
function median(runs) {
  const each = runs.map(({ decodeMs, generationTokens }) => decodeMs / (generationTokens - 1)).sort((a, b) => a - b);
  return each[Math.floor(each.length / 2)];
}
