// What a person may call a model, a revision and a hub.

import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.js';
import { checkRevision, isModelName, parseHub, parseModelName } from '../../src/hub/model-name.js';

const HUB = 'https://huggingface.co';

describe('a model', () => {
  it.each([
    ['gpt2', 'gpt2', undefined, undefined],
    ['openai-community/gpt2', 'openai-community/gpt2', undefined, undefined],
    ['a/b/', 'a/b', undefined, undefined],
    ['me/a.b_c-1', 'me/a.b_c-1', undefined, undefined],
    ['https://huggingface.co/a/b', 'a/b', undefined, undefined],
    ['https://huggingface.co/a/b/', 'a/b', undefined, undefined],
    ['https://huggingface.co/gpt2?library=x#files', 'gpt2', undefined, undefined],
    ['huggingface.co/a/b', 'a/b', undefined, undefined],
    ['https://hf.co/a/b', 'a/b', undefined, undefined],
    ['https://huggingface.co/a/b/tree/main', 'a/b', 'main', undefined],
    ['https://huggingface.co/a/b/tree/refs%2Fpr%2F1', 'a/b', 'refs/pr/1', undefined],
    ['https://huggingface.co/gpt2/tree/main', 'gpt2', 'main', undefined],
    ['https://huggingface.co/a/tree/tree/v1', 'a', undefined, undefined],
    ['https://huggingface.co/a/b/blob/v1.0/q/x.gguf', 'a/b', 'v1.0', 'q/x.gguf'],
    ['https://huggingface.co/a/b/resolve/main/x.gguf?download=true', 'a/b', 'main', 'x.gguf'],
    [`https://huggingface.co/a/b/commit/${'a'.repeat(40)}`, 'a/b', 'a'.repeat(40), undefined],
  ])('%s', (text, model, revision, file) => {
    if (text.includes('/tree/tree/')) {
      expect(() => parseModelName(text, HUB)).toThrow('is a folder of a model'); // a's revision is tree
    } else {
      expect(parseModelName(text, HUB)).toEqual({ model, revision, file });
    }
  });

  it.each([
    '',
    '/',
    '.',
    '..',
    '../x',
    './x',
    'a/../b',
    'a/b/c',
    'a//b',
    'a b',
    '-a/b',
    'a/.b',
    'a/b.',
    'a--b',
    'a/b..c',
    'a/b.git',
    'a\\b',
    'a\u0000',
    'ä/b',
    'x'.repeat(97),
  ])('%j is none', (text) => {
    expect(isModelName(text)).toBe(false);
    expect(() => parseModelName(text, HUB)).toThrow(UsageError);
  });

  it.each([
    ['https://huggingface.co/datasets/a/b', 'is no model'],
    ['https://huggingface.co/spaces/a/b', 'is no model'],
    ['https://huggingface.co/', 'is no page of a model'],
    ['https://huggingface.co/a/b/c', 'is no page of a model'],
    ['https://huggingface.co/a/b/tree', 'is no page of a model'],
    ['https://huggingface.co/a/b/tree/main/q8', '--file "q8/*"'],
    ['https://huggingface.co/a/b/tree/..%2F..%2Fx', 'branch, a tag or a commit'],
    ['https://example.org/a/b', 'is not on the hub https://huggingface.co'],
    ['https://huggingface.co.example.org/a/b', 'is not on the hub'],
    ['http://[', 'is not on the hub'],
  ])('%s: %s', (text, words) => {
    expect(() => parseModelName(text, HUB)).toThrow(words);
  });

  it('may be the address of a page of another hub, where that is the hub', () => {
    const hub = 'https://mirror.example/hf';
    expect(parseModelName('https://mirror.example/hf/a/b', hub)).toMatchObject({ model: 'a/b' });
    expect(() => parseModelName('https://huggingface.co/a/b', hub)).toThrow('is not on the hub');
  });
});

describe('a revision', () => {
  it.each(['main', 'v1.0', 'refs/pr/1', 'a'.repeat(40), 'feature/x_y'])('%s', (revision) => {
    expect(checkRevision(revision, '--revision')).toBe(revision);
  });

  it.each([
    '',
    '/',
    'a//b',
    '../x',
    'a/..',
    '.x',
    'a/.b',
    'a b',
    'a\nb',
    'a:b',
    'a\\b',
    'a?',
    'x.lock',
    'x'.repeat(256),
  ])('%j is none', (revision) => {
    expect(() => checkRevision(revision, '--revision')).toThrow(UsageError);
  });
});

describe('a hub', () => {
  it.each([
    ['https://huggingface.co', 'https://huggingface.co'],
    ['https://hf-mirror.com/', 'https://hf-mirror.com'],
    ['https://example.org/api/hf//', 'https://example.org/api/hf'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['http://127.1.2.3', 'http://127.1.2.3'],
    ['http://localhost:1', 'http://localhost:1'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
  ])('%s', (text, expected) => {
    expect(parseHub(text, '--hub')).toBe(expected);
  });

  it.each([
    ['huggingface.co', 'must be an address'],
    ['ftp://huggingface.co', 'must be an address'],
    ['file:///etc', 'must be an address'],
    ['https://a/?x', 'must be an address'],
    ['https://user:secret@a', 'no user and password'],
    ['http://huggingface.co', 'must be https'],
    ['http://127.0.0.1.example.org', 'must be https'],
    ['http://localhost.example.org', 'must be https'],
    ['http://10.0.0.1', 'must be https'],
  ])('%s: %s', (text, words) => {
    expect(() => parseHub(text, '--hub')).toThrow(words);
  });
});
