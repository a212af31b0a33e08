// Chat templates: what they render is what transformers renders; what they complain of names the turn; hostile ones end.
// The values: test/fixtures/chat-templates, made with `apply_chat_template` of transformers 4.57.6.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../src/chat/messages.js';
import { ChatTemplate } from '../../src/chat/prompt-template.js';
import { TemplateProcess } from '../../src/chat/template-process.js';
import { turnEnd } from '../../src/chat/turn-end.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';

const FOLDER = new URL('../fixtures/chat-templates/', import.meta.url);
const NAMES = ['chatml', 'llama2-inst', 'llama3-headers', 'zephyr', 'smollm2-default-system'];

interface Case {
  readonly messages: ChatMessage[];
  readonly add_generation_prompt?: boolean;
  readonly tools?: unknown;
  readonly expected?: string;
  readonly error?: string;
}

const opened: { dispose(): void }[] = [];
afterAll(() => {
  for (const one of opened) {
    one.dispose();
  }
});

function template(text: string, named: Record<string, string> = {}, limitMs?: number): ChatTemplate {
  const file = { path: 'chat_template.jinja', text };
  const made = new ChatTemplate(file, named, new TemplateProcess(file, limitMs));
  opened.push(made);
  return made;
}

function fixture(name: string) {
  const read = (file: string) => readFileSync(fileURLToPath(new URL(file, FOLDER)), 'utf8');
  const { bos_token, eos_token, cases } = JSON.parse(read(`${name}.cases.json`));
  const named = Object.fromEntries(Object.entries({ bos_token, eos_token }).filter(([, token]) => token !== null));
  return { template: template(read(`${name}.jinja`), named as Record<string, string>), cases: cases as Case[] };
}

/** Those with variables that a chat of kvgen does not have are left to the template engine's own tests. */
const isChat = (one: Case) =>
  Object.keys(one).every((key) => ['messages', 'add_generation_prompt', 'expected', 'error'].includes(key));

describe('renderings', () => {
  it.each(NAMES)('%s', async (name) => {
    const { template, cases } = fixture(name);
    const chats = cases.filter(isChat);
    expect(chats.length).toBeGreaterThan(4);
    for (const { messages, add_generation_prompt: addGenerationPrompt = false, expected, error } of chats) {
      const text = template.render(messages, { addGenerationPrompt });
      if (error === undefined) {
        expect(await text).toBe(expected);
      } else {
        await expect(text).rejects.toThrow(error);
      }
    }
  });

  it('today is what a template asks for', async () => {
    const day = await template('{{ strftime_now("%A") }}').render([], { addGenerationPrompt: false });
    expect(day).toMatch(/^[A-Z][a-z]+day$/);
    const { template: dated } = fixture('tools-date');
    const text = await dated.render([{ role: 'user', content: 'a' }], { addGenerationPrompt: false });
    expect(text).toMatch(/^<\|begin_of_text\|>.*\n\nToday is \d\d [A-Z][a-z][a-z] 20\d\d\.\n/);
  });
});

describe('the token that ends an answer', () => {
  /** Knows these tokens, and characters. */
  const tokenizer = (special: readonly string[]) =>
    ({
      isSpecial: (id: number) => id < special.length,
      token: (id: number) => special[id],
      encode: async (text: string) => {
        const first = special.findIndex((token) => text.startsWith(token));
        return first < 0 ? [999] : [first, 999];
      },
    }) as unknown as Tokenizer;

  it.each([
    ['chatml', '<|im_end|>'],
    ['llama2-inst', '</s>'],
    ['llama3-headers', '<|eot_id|>'],
    ['zephyr', '</s>'],
    ['tools-date', '<|eot_id|>'],
  ])('of %s is %s', async (name, token) => {
    const special = ['<unk>', '<|im_start|>', '<|im_end|>', '</s>', '<|eot_id|>'];
    expect(await turnEnd(fixture(name).template, tokenizer(special))).toBe(special.indexOf(token));
  });

  it('is none where the template writes none', async () => {
    const plain = template('{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}');
    expect(await turnEnd(plain, tokenizer(['</s>']))).toBeUndefined();
    expect(await turnEnd(template('{% if %}'), tokenizer(['</s>']))).toBeUndefined();
  });
});

describe('what a template refuses', () => {
  const ask = (text: string, contents: readonly string[], limitMs?: number) =>
    template(text, {}, limitMs).render(
      contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
      { addGenerationPrompt: true },
    );

  it('names the turn and says why', async () => {
    const { template } = fixture('llama2-inst');
    const turns = ['user', 'assistant', 'user', 'user', 'user'].map((role) => ({ role, content: 'a' }));
    await expect(template.render(turns, { addGenerationPrompt: true })).rejects.toThrow(
      /^chat_template.jinja: the chat template: turn 4 \(user\): Turns must go user\/assistant\/user\/assistant\/\.\.\.$/,
    );
    const noSystem =
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role\nnot supported') }}{% endif %}";
    await expect(ask(noSystem.replace('system', 'user').replace('system', 'user'), ['a', 'b', 'c'])).rejects.toThrow(
      'turn 1 (user): System role not supported',
    );
  });

  it('what is no template is said in one line', async () => {
    await expect(ask('{% for %}', ['a'])).rejects.toThrow(
      /^chat_template.jinja: the chat template is no template that can be read \(.+\); use the template of another folder$/,
    );
  });

  it.each([
    [
      'loops',
      '{% for i in range(9999) %}{% for j in range(9999) %}{% for k in range(9999) %}{% endfor %}{% endfor %}{% endfor %}',
    ],
    ['one step that takes all memory', '{{ "x\n" | indent(500000000, true) }}'],
    [
      'a list that takes all memory',
      '{% for i in range(10 ** 9) %}{% for j in range(1000000000) %}a{% endfor %}{% endfor %}',
    ],
    ['a tower of brackets', `{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`],
    [
      'a text that doubles',
      '{% set n = namespace(s="xx") %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}',
    ],
  ])('%s: ends with one line, and the next rendering works', async (_, text) => {
    await expect(ask(text, ['a'], 500)).rejects.toThrow(/^chat_template.jinja: the chat template[^\n]+$/);
  });

  it('an abort ends it at once', async () => {
    const controller = new AbortController();
    const loop = '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}';
    const text = template(loop).render([], { addGenerationPrompt: false, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('stopped')), 100);
    await expect(text).rejects.toThrow('stopped');
  });
});
