// The line of requests: whose text comes next.

import { expect, it } from 'vitest';
import { WaitingLine } from '../../src/server/waiting-line.js';

function enter(line: WaitingLine<string>, ...texts: readonly string[]): () => void {
  return line.enter(texts.values() as Iterator<string, void>, texts.length);
}

function all(line: WaitingLine<string>): string[] {
  const taken: string[] = [];
  for (let text = line.take(); text !== undefined; text = line.take()) {
    taken.push(text);
  }
  return taken;
}

it('requests take turns, text by text', () => {
  const line = new WaitingLine<string>();
  enter(line, 'a1', 'a2', 'a3');
  enter(line, 'b1');
  enter(line, 'c1', 'c2');
  expect(all(line)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
});

it('counts requests that have not begun, and texts that were not taken', () => {
  const line = new WaitingLine<string>();
  enter(line, 'a1', 'a2');
  enter(line, 'b1');
  expect([line.requests, line.texts]).toEqual([2, 3]);
  line.take();
  expect([line.requests, line.texts]).toEqual([1, 2]);
});

it('who leaves is not taken any more, from the middle of its texts either', () => {
  const line = new WaitingLine<string>();
  const leave = enter(line, 'a1', 'a2');
  enter(line, 'b1');
  expect(line.take()).toBe('a1');
  leave();
  expect(all(line)).toEqual(['b1']);
});

it('waits for the next request, and ends when those that came have been taken', async () => {
  const line = new WaitingLine<string>();
  const waiting = line.wait();
  enter(line, 'a1');
  expect(await waiting).toBe(true);
  line.end();
  expect([line.isOver, await line.wait()]).toEqual([false, true]);
  expect(all(line)).toEqual(['a1']);
  expect([line.isOver, await line.wait()]).toEqual([true, false]);
});
