// What may be left of a run that was stopped: a beginning, in whole lines, and nothing else.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jobsIn, OUT } from '../../fuzz/stress-jobs.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const base = tempDir();
const jobs = jobsIn(base);

function checked(name: string, stdout: string, truth: string, isWhole = false): number {
  return (jobs.find((job) => job.name === name) as (typeof jobs)[0]).check(stdout, truth, isWhole).length;
}

describe('a run that was stopped', () => {
  it('has written a beginning of the text and a newline', () => {
    expect(checked('text', '', 'one two\n')).toBe(0);
    expect(checked('text', 'one\n', 'one two\n')).toBe(0);
    expect(checked('text', 'one', 'one two\n')).toBe(1);
    expect(checked('text', 'two\n', 'one two\n')).toBe(1);
    expect(checked('text', 'one\n', 'one two\n', true)).toBe(1);
    expect(checked('samples', 'a\n---\nc\n', 'ab\n---\ncd\n')).toBe(0);
    expect(checked('samples', 'c\n---\nc\n', 'ab\n---\ncd\n')).toBe(1);
  });

  it('has written whole objects whose texts are beginnings', () => {
    const [whole, part, other] = ['ab', 'a', 'b'].map((text) => `${JSON.stringify({ text, ids: [...text] })}\n`) as [
      string,
      string,
      string,
    ];
    expect([part, other, part.slice(0, -3)].map((stdout) => checked('json', stdout, whole) > 0)).toEqual([
      false,
      true,
      true,
    ]);
    const event = (text: string) => `${JSON.stringify({ type: 'token', text })}\n`;
    expect(checked('events', event('a'), event('a') + event('b'))).toBe(0);
    expect(checked('events', event('b'), event('a') + event('b'))).toBe(1);
  });

  it('has written lines of a batch in order, and an early end is said', () => {
    const line = (id: number, text: string, finish_reason: string) =>
      `${JSON.stringify({ id, text, ids: [...text], finish_reason })}\n`;
    const whole = line(0, 'ab', 'length') + line(1, 'cd', 'stop');
    expect(checked('batch', line(0, 'ab', 'length') + line(1, 'c', 'abort'), whole)).toBe(0);
    expect(checked('batch', line(1, 'cd', 'stop'), whole)).toBe(0);
    expect(checked('batch', line(1, 'c', 'stop'), whole)).toBe(1);
    expect(checked('batch', line(1, 'cd', 'stop') + line(0, 'ab', 'length'), whole)).toBe(1);
  });

  it('has left the whole folder or none', () => {
    const job = jobs.find(({ name }) => name === 'quantize') as (typeof jobs)[0];
    mkdirSync(join(base, OUT));
    writeFileSync(join(base, OUT, 'a'), 'whole');
    job.learn?.();
    expect(job.check('', '', true)).toEqual([]);
    writeFileSync(join(base, OUT, 'a'), 'half');
    expect(job.check('', '', false)).toHaveLength(1);
  });
});
