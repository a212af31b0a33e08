// Tokenizers that are no byte-level BPE, changed: a text becomes ids and these a text again, or they are refused.

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { breaches, readObjects, short } from '../contract.js';
import { TEXTS as SOUND } from '../corpus.js';
import { kvgen } from '../inside.js';
import { TEXTS } from '../nasty.js';
import { copyFolder, mutateModelFile } from './files.js';

const TOKENIZERS = fileURLToPath(new URL('../../test/fixtures/tokenizers', import.meta.url));
const FOLDERS = ['sp-bpe-llama2', 'unigram-t5', 'wordpiece-zh'];
/** What is not a part of the tokenizer, or is its older form. */
const OTHERS = /^cases\.json$/;

/** @type {import('./index.js').Kind} */
export const piecesKind = {
  name: 'pieces',
  weight: 10,
  async run(random, { base }, tell) {
    copyFolder(join(TOKENIZERS, random.pick(FOLDERS)), './m');
    const isOld = random.chance(0.5);
    for (const file of readdirSync('./m').filter((name) => OTHERS.test(name) || (isOld && name === 'tokenizer.json'))) {
      rmSync(join('m', file));
    }
    for (const file of random.some(readdirSync('./m'), 2)) {
      tell(`${file}: ${mutateModelFile(random, join('m', file), base)}`);
    }
    const text = random.pick([...SOUND, ...TEXTS]);
    const encoded = await kvgen(['tokenize', '-m', './m', '--', text]);
    tell(`${short(text)} → ${encoded.code} ${encoded.stderr}`);
    const wrong = breaches(encoded, [0, 1]);
    if (encoded.code !== 0) {
      return { wrong, refused: true };
    }
    const { objects, wrong: unread } = readObjects(encoded.stdout);
    const decoded = await kvgen(['tokenize', '-m', './m', '--decode', '--', objects.join()]);
    tell(`ids ${short(objects.join())} → ${decoded.code} ${decoded.stderr}`);
    return { wrong: [...wrong, ...unread, ...breaches(decoded, [0, 1])] };
  },
};
