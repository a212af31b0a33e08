// Which of backend, engine, threads and weights go together, and what of the environment gives way to an option.

import { describe, expect, it } from 'vitest';
import { asOption, type BackendChoice, checkChoice, choicesOf, settleChoices } from '../src/backends.js';

const message = (run: () => unknown): string => {
  try {
    run();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('what goes together', () => {
  it.each<[BackendChoice, string]>([
    [{}, ''],
    [{ backend: 'node', engine: 'graph', threads: 4, weights: 'float32' }, ''],
    [{ backend: 'simd', threads: 2, weights: 'int8' }, ''],
    [{ backend: 'auto', weights: 'int8' }, ''],
    [{ backend: 'cpu', engine: 'eager', threads: 1 }, ''],
    [{ backend: 'node', weights: 'int8' }, '--weights int8 cannot go with --backend node'],
    [{ backend: 'cpu', weights: 'int8' }, '--weights int8 cannot go with --backend cpu'],
    [{ backend: 'simd', engine: 'graph' }, '--engine graph cannot go with --backend simd'],
    [{ backend: 'simd', engine: 'eager' }, '--engine eager cannot go with --backend simd'],
    [{ backend: 'cpu', engine: 'graph' }, '--engine graph cannot go with --backend cpu'],
    [{ engine: 'graph', weights: 'int8' }, '--engine graph cannot go with --weights int8'],
    [{ backend: 'cpu', threads: 2 }, '--threads 2 cannot go with --backend cpu'],
  ])('%j: %s', (choice, expected) => {
    expect(message(() => checkChoice(choice))).toBe(expected);
  });
});

describe('the environment', () => {
  /** What is left of options and of the environment, and what it is refused with. */
  function settle(options: object, environment: object) {
    const values = { ...environment, ...options };
    const isFromEnvironment = (name: string) => name in environment && !(name in options);
    const spell = (name: keyof BackendChoice, value: unknown) =>
      isFromEnvironment(name) ? `KVGEN_${name.toUpperCase()}=${value}` : asOption(name, value);
    return settleChoices(values, isFromEnvironment, spell);
  }

  it.each<[options: object, environment: object, settled: object]>([
    [{}, { backend: 'simd', weights: 'int8' }, { backend: 'simd', weights: 'int8' }],
    [{ backend: 'simd' }, { weights: 'int8' }, { backend: 'simd', weights: 'int8' }],
    [{ backend: 'node' }, { weights: 'int8' }, { backend: 'node' }],
    [{ weights: 'int8' }, { backend: 'node' }, { weights: 'int8' }],
    [{ engine: 'graph' }, { backend: 'simd' }, { engine: 'graph' }],
    [{ engine: 'graph' }, { backend: 'node', weights: 'int8' }, { engine: 'graph', backend: 'node' }],
    [{ threads: 2 }, { backend: 'cpu' }, { threads: 2 }],
    [{ weights: ['float32', 'int8'] }, { backend: 'node' }, { weights: ['float32', 'int8'] }],
    [{ other: 1 }, {}, { other: 1 }],
  ])('%j with %j: %j', (options, environment, settled) => {
    expect(settle(options, environment)).toEqual(settled);
  });

  it('is refused where it contradicts itself, and options where they do', () => {
    const both = { backend: 'node', weights: 'int8' };
    expect(message(() => settle({}, both))).toBe('KVGEN_WEIGHTS=int8 cannot go with KVGEN_BACKEND=node');
    expect(message(() => settle(both, { backend: 'simd' }))).toBe('--weights int8 cannot go with --backend node');
  });

  it('of lists it is enough that one pair goes together', () => {
    expect(message(() => settle({ backend: ['node', 'simd'], weights: ['int8'] }, {}))).toBe('');
    expect(message(() => settle({ backend: ['node', 'cpu'], weights: ['int8'] }, {}))).toContain('--weights int8');
  });
});

it('lists are all their pairs', () => {
  const choices = choicesOf({ backend: ['node', 'simd'], weights: ['float32', 'int8'], threads: 2 });
  expect(choices.map(({ backend, weights, threads }) => [backend, weights, threads].join())).toEqual([
    'node,float32,2',
    'node,int8,2',
    'simd,float32,2',
    'simd,int8,2',
  ]);
});
