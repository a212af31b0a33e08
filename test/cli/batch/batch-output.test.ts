// The results of a batch in the order of the input, and what of them there is after an interrupt.

import { describe, expect, it } from 'vitest';
import { BatchOutput, type LineEntry } from '../../../src/cli/batch/batch-output.js';
import type { BatchProgress } from '../../../src/cli/batch/batch-progress.js';
import type { Terminal } from '../../../src/cli/shell/terminal.js';

function outputOf(lefts: readonly number[]) {
  const written: string[] = [];
  const lines: [bytes: number, isGood: boolean][] = [];
  const terminal = { progressDone: () => {}, write: async (text: string) => void written.push(text) };
  const progress = { line: (bytes: number, isGood: boolean) => void lines.push([bytes, isGood]) };
  const output = new BatchOutput(terminal as unknown as Terminal, progress as unknown as BatchProgress);
  const entries = lefts.map((left, id): LineEntry => ({ id, bytes: 10 * id, left, results: [], error: null }));
  for (const entry of entries) {
    output.begin(entry);
  }
  return { output, written, lines, entry: (i: number) => entries[i] as LineEntry };
}

describe('the output of a batch', () => {
  it('is in the order of the input, whatever is done first, a line and its samples in one piece', async () => {
    const { output, written, lines, entry } = outputOf([1, 2, 1, 1]);
    await output.fail(entry(2), { id: 2, error: 'no' });
    await output.done(entry(1), 1, { id: 1, sample: 1 });
    await output.done(entry(3), 0, { id: 3 });
    expect([written, output.held]).toEqual([[], '{"id":1,"sample":1}\n{"id":3}\n'.length]);
    await output.done(entry(0), 0, { id: 0 });
    expect(written).toEqual(['{"id":0}\n']);
    await output.done(entry(1), 0, { id: 1, sample: 0 });
    expect(written.slice(1)).toEqual([
      '{"id":1,"sample":0}\n{"id":1,"sample":1}\n',
      '{"id":2,"error":"no"}\n',
      '{"id":3}\n',
    ]);
    expect([output.held, output.failed]).toEqual([0, true]);
    expect(lines).toEqual([
      [0, true],
      [10, true],
      [20, false],
      [30, true],
    ]);
  });

  it('after an interrupt has all that is done, errors too', async () => {
    const { output, written, entry } = outputOf([1, 3, 1, 1]);
    await output.done(entry(3), 0, { id: 3 });
    await output.fail(entry(2), { id: 2, error: 'no' });
    await output.done(entry(1), 2, { id: 1, sample: 2 });
    await output.writeRest();
    expect(written.join('')).toBe('{"id":1,"sample":2}\n{"id":2,"error":"no"}\n{"id":3}\n');
  });

  it('has room when lines were written, or there is an interrupt', async () => {
    const { output, entry } = outputOf([1, 1]);
    const { signal } = new AbortController();
    let hasRoom = false;
    const waiting = output.room(2, signal).then(() => {
      hasRoom = true;
    });
    await output.done(entry(1), 0, {});
    expect(hasRoom).toBe(false);
    await output.done(entry(0), 0, {});
    await waiting;
    expect(hasRoom).toBe(true);
    output.begin(entry(0));
    await output.room(1, AbortSignal.abort());
    const controller = new AbortController();
    const interrupted = output.room(1, controller.signal);
    controller.abort();
    await interrupted;
  });
});
