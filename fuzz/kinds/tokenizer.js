// Tokenizers, changed. What a folder's tokenizer makes of a text must be that text again, or be refused.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { breaches, readObjects, short } from '../contract.js';
import { TEXTS as SOUND } from '../corpus.js';
import { kvgen } from '../inside.js';
import { TEXTS } from '../nasty.js';
import { copyFolder, mutateModelFile } from './files.js';

const FILES = /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^merges\.txt$/;

/** @type {import('./index.js').Kind} */
export const tokenizerKind = {
  name: 'tokenizer',
  weight: 35,
  async run(random, { base }, tell) {
    const folder = random.pick(['float32', 'files']);
    copyFolder(join(base, 'models', folder), './m');
    for (const file of random.some(
      readdirSync('./m').filter((name) => FILES.test(name)),
      3,
    )) {
      tell(`${file}: ${mutateModelFile(random, join('m', file), base)}`);
    }
    const text = random.pick([...SOUND, ...TEXTS]);
    const argv = [
      '-m',
      './m',
      '--json',
      '--no-bos', // the text alone comes back
      '--echo',
      '--logprobs',
      '0',
      '-n',
      '2',
      '--temp',
      '0',
      '--threads',
      '1',
      '--',
      text,
    ];
    const ended = await kvgen(argv);
    tell(`${short(text)} → ${ended.code} ${ended.stderr}`);
    const wrong = breaches(ended, [0, 1]);
    if (ended.code === 0) {
      const { objects, wrong: unread } = readObjects(ended.stdout);
      wrong.push(...unread, ...objects.flatMap((object) => changedText(text, object)));
    }
    return { wrong, refused: ended.code !== 0 };
  },
};

/** The bytes of the prompt's tokens against those of the text. @returns {string[]} */
function changedText(text, { prompt_tokens_detail: tokens = [] }) {
  if (text === '' || !text.isWellFormed() || mayChangeText()) {
    return [];
  }
  const bytes = Buffer.from(tokens.flatMap((token) => token.bytes));
  return bytes.equals(Buffer.from(text)) ? [] : [`${short(text)} became ${short(bytes.toString('latin1'))}`];
}

/** Some tokenizers mean to: they normalize, strip, put a space in front. */
function mayChangeText() {
  const textOf = (name) => (existsSync(join('m', name)) ? readFileSync(join('m', name), 'utf8') : '{}');
  const said = textOf('tokenizer_config.json') + textOf('special_tokens_map.json');
  if (/"(lstrip|rstrip|add_prefix_space)"\s*:\s*true|"tokenizer_class"\s*:\s*(?!"GPT2Tokenizer")/.test(said)) {
    return true;
  }
  if (!existsSync('m/tokenizer.json')) {
    return false;
  }
  const json = JSON.parse(textOf('tokenizer.json'));
  const { normalizer, pre_tokenizer: pre, added_tokens: added, decoder, model } = json;
  const isPlain = pre?.type === 'ByteLevel' && !pre.add_prefix_space && Object.keys(pre).length === 4;
  return (
    Boolean(normalizer) ||
    !isPlain ||
    ![undefined, null, 'ByteLevel'].includes(decoder?.type) ||
    ![undefined, null, 'BPE'].includes(model?.type) ||
    Boolean(model?.continuing_subword_prefix || model?.end_of_word_suffix) ||
    (added ?? []).some(({ lstrip, rstrip, normalized }) => lstrip || rstrip || normalized)
  );
}
