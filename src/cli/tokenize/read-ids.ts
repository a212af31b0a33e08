// Token ids as people and programs write them: the JSON array that `kvgen tokenize` prints, or numbers with commas or white
// space between them.

import { KvgenError, shown, UsageError } from '../../errors.js';
import { EventLoop } from '../../generation/event-loop.js';

/**
 * @param isArgument what is wrong could be seen on the command line
 * @throws UsageError or KvgenError that shows what is no id; what `signal` aborts with
 */
export async function readIds(text: string, isArgument: boolean, signal: AbortSignal): Promise<number[]> {
  const [, list = text] = /^\s*\[(.*)\]\s*$/s.exec(text) ?? [];
  const next = /[\s,]*(\d+)(?![^\s,])/y;
  const loop = new EventLoop();
  const ids: number[] = [];
  let end = 0;
  for (let found = next.exec(list); found !== null; found = next.exec(list)) {
    ids.push(Number(found[1]));
    end = next.lastIndex;
    if (loop.due) {
      await loop.run();
      signal.throwIfAborted();
    }
  }
  const [rest = ''] = /[^\s,].*/.exec(list.slice(end)) ?? [];
  if (rest !== '') {
    const message = `expected token ids, such as 1,2,3 or what \`kvgen tokenize\` prints, found ${shown(rest)}`;
    throw isArgument ? new UsageError(message) : new KvgenError(message);
  }
  return ids;
}
