// The run as the page's script has it: the data in the page, read once, with the questions that several parts ask of it.

import { AttentionTable } from '../attention-table.js';
import { type AttentionData, DATA, type PageData } from '../page-data.js';
import { tokenPieces, visibleLine } from '../visible-text.js';
import { byId } from './elements.js';

/** Characters of a token in a sentence. */
const LONGEST_NAME = 40;

export function readRun(): PageData {
  return JSON.parse(byId(DATA.run).textContent ?? '');
}

/** null: this run has none. */
export async function readAttention(): Promise<AttentionTable | null> {
  const block = document.getElementById(DATA.attention);
  if (block === null) {
    return null;
  }
  const { shape, base64 }: AttentionData = JSON.parse(block.textContent ?? '');
  const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const inflated = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new AttentionTable(shape, new Uint8Array(await new Response(inflated).arrayBuffer()));
}

/** A token in a sentence, in quotes and isolated. */
export function tokenName(run: PageData, position: number): string {
  const token = run.tokens[position];
  return token === undefined ? '' : `“\u2068${visibleLine(tokenPieces(token, LONGEST_NAME))}\u2069”`;
}
