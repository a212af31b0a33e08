// --chat, --system and `messages`: what the model is given and where the answer ends, on the command line and in a batch.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../cli/here.js';
import { END, IDS, START, writeChatModel } from '../support/chat-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
let dir: string;
let plain: string;
beforeAll(() => {
  dir = writeChatModel(tempDir());
  plain = writeChatModel(tempDir(), { template: null });
});
const ON = ['--backend', 'simd', '--threads', '1', '--temp', '0', '-n', '8'];
const HI = `${START}user\nHi${END}\n${START}assistant\n`;

describe('generate', () => {
  it('--chat: the prompt is what the template writes', async () => {
    const { json } = await kvgenJson(['-m', dir, ...ON, '--chat', 'Hi']);
    expect(json.prompt).toBe(HI);
    expect(json.prompt_ids.slice(0, 6)).toEqual([IDS[START], ...Buffer.from('user\n')]);
    const told = await kvgenJson(['-m', dir, ...ON, '--chat', '--system', 'Be brief.', 'Hi']);
    expect(told.json.prompt).toBe(`${START}system\nBe brief.${END}\n${HI}`);
  });

  it('the token behind a turn ends the answer, also that of --answer-cache', async () => {
    const cache = tempDir();
    const args = ['-m', dir, ...ON, '--logit-bias', `${IDS[END]}=1000`, '--cache-dir', cache, '--answer-cache'];
    const chat = await kvgenJson([...args, '--chat', 'Hi']);
    expect([chat.json.text, chat.json.finish_reason, chat.json.generation_tokens]).toEqual(['', 'stop', 0]);
    const again = await kvgenJson([...args, '--chat', 'Hi']);
    expect([again.json.answer_cached, again.json.finish_reason]).toEqual([true, 'stop']);
  });

  it('says what cannot be', async () => {
    expect(await kvgen(['-m', plain, ...ON, '--chat', 'Hi'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `kvgen: ${plain}: no chat template: expected chat_template.jinja, or chat_template in tokenizer_config.json; give a prompt without --chat\n`,
    });
    for (const [args, message] of [
      [['--system', 'a', 'b'], '--system needs --chat'],
      [['--chat', '--no-bos', 'b'], '--chat cannot go with --no-bos'],
      [['--chat', '--prompt-ids', '1'], '--chat cannot go with --prompt-ids'],
    ] as const) {
      expect(await kvgen(['-m', dir, ...args])).toMatchObject({ code: 2, stderr: `kvgen: ${message}\n` });
    }
    const refusing = tempDir();
    writeChatModel(refusing, { template: "{{ raise_exception('no ' + messages[0].role) }}" });
    expect((await kvgen(['-m', refusing, ...ON, '--chat', 'Hi'])).stderr).toBe(
      `kvgen: ${join(refusing, 'tokenizer_config.json')}: the chat template: turn 1 (user): no user\n`,
    );
  });

  it('chat_template.jinja comes before tokenizer_config.json', async () => {
    const both = writeChatModel(tempDir());
    writeFileSync(join(both, 'chat_template.jinja'), '{{ messages[0].content }}{{ eos_token }}');
    expect((await kvgenJson(['-m', both, ...ON, '--chat', 'Hi'])).json.prompt).toBe(`Hi${END}`);
  });
});

describe('batch', () => {
  it('lines have messages, chat and system', async () => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho' },
      { role: 'user', content: 'Hm' },
    ];
    const lines = [
      { id: 1, messages },
      { id: 2, prompt: 'Hi', chat: true },
      { id: 3, prompt: 'Hi', chat: true, system: 'S' },
      { id: 4, prompt: 'Hi' },
      { id: 5, messages, prompt: 'Hi' },
      { id: 6, messages: [{ role: 'user', content: 7 }] },
      { id: 7, messages, system: 'S' },
      { id: 8, messages: [{ role: 'system', content: 'S' }, ...messages], system: 'S' },
      { id: 9, prompt: 'Hi', system: 'S' },
    ];
    const input = lines.map((line) => JSON.stringify(line)).join('\n');
    const ended = await kvgen(['batch', '-m', dir, ...ON], { input });
    const rows = ended.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const long = `${START}user\nHi${END}\n${START}assistant\nHo${END}\n${START}user\nHm${END}\n${START}assistant\n`;
    expect(rows.map(({ prompt, error }) => error ?? prompt)).toEqual([
      long,
      HI,
      `${START}system\nS${END}\n${HI}`,
      'Hi',
      'expected a prompt, messages or prompt_ids, one of them',
      'messages[0].content: expected a text, found 7',
      `${START}system\nS${END}\n${long}`,
      'system: the messages begin with one of their own',
      'system needs chat',
    ]);
    expect(ended.code).toBe(1);
  });
});
