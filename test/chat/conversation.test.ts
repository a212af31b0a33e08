// A conversation: what the model is given, that nothing of it is run twice, and that it is what a whole new run gives.

import { expect, it } from 'vitest';
import { type Chat, type ChatTurn, generate, loadModel } from '../../src/index.js';
import type { Model } from '../../src/library/model.js';
import { CHATML, END, IDS, START, writeChatModel } from '../support/chat-folder.js';
import { tempDirs } from '../support/temp-dir.js';

const tempDir = tempDirs();
const OPTIONS = { maxTokens: 12, temperature: 0, ignoreEos: true } as const;

async function open(folder: Parameters<typeof writeChatModel>[1] = {}): Promise<Model> {
  return loadModel(writeChatModel(tempDir(), folder), { backend: 'simd', threads: 1 });
}

async function answer(turn: AsyncGenerator<string, ChatTurn>): Promise<ChatTurn> {
  let text = '';
  for (;;) {
    const { value, done } = await turn.next();
    if (done) {
      expect(value.text).toBe(text);
      return value;
    }
    text += value;
  }
}

const bytes = (text: string) => {
  const parts = text.split(/(<\|[a-z_]+\|>)/).filter((part) => part !== '');
  return parts.flatMap((part) => (part in IDS ? [IDS[part as keyof typeof IDS]] : [...Buffer.from(part)]));
};
const ids = ({ tokens }: ChatTurn) => tokens.map(({ id }) => id);

it('the model is given what the template writes; of a turn only what is new is run', async () => {
  const model = await open();
  const chat = await model.chat({ ...OPTIONS, system: 'Be brief.' });
  const first = await answer(chat.say('Hi'));
  const opening = `${START}system\nBe brief.${END}\n${START}user\nHi${END}\n${START}assistant\n`;
  expect(first.promptIds).toEqual(bytes(opening));
  expect([first.reusedTokens, first.computedTokens]).toEqual([0, first.promptIds.length]);
  const second = await answer(chat.say('And?'));
  const more = bytes(`${END}\n${START}user\nAnd?${END}\n${START}assistant\n`);
  expect(second.promptIds).toEqual([...first.promptIds, ...ids(first), ...more]);
  expect(second.computedTokens).toBe(more.length + 1); // with the answer's last token, which no pass has run
  expect(chat.tokens).toBe(second.promptIds.length + 12);
  model.dispose();
});

it('twenty turns run no more tokens than the conversation has, and each answer is that of a new run', async () => {
  const model = await open({ positions: 2048 });
  const chat = await model.chat({ ...OPTIONS, temperature: 1, seed: 5 });
  let computed = 0;
  let last: ChatTurn | undefined;
  for (let i = 0; i < 20; i++) {
    last = await answer(chat.say(`Number ${i}.`));
    computed += last.computedTokens;
    expect(last.seed).toBe(5 + i);
  }
  expect(computed).toBeLessThanOrEqual(chat.tokens);
  const { promptIds } = last as ChatTurn;
  expect(ids(last as ChatTurn)).toEqual(await fresh(model, promptIds, 24, 1));
  chat.dispose();
  model.dispose();
});

/** The ids that `generate` gives for these with the seed. */
async function fresh(model: Model, promptIds: readonly number[], seed: number, temperature = 0): Promise<number[]> {
  const found: number[] = [];
  for await (const { id } of generate(model, promptIds, { ...OPTIONS, temperature, seed })) {
    found.push(id);
  }
  return found;
}

it('undo after ten turns is the conversation of nine, retry says it again with the next seed', async () => {
  const model = await open({ positions: 2048 });
  const chats = await Promise.all([
    model.chat({ ...OPTIONS, temperature: 1, seed: 1 }),
    model.chat({ ...OPTIONS, temperature: 1, seed: 1 }),
  ]);
  const [ten, nine] = chats as [Chat, Chat];
  for (let i = 0; i < 10; i++) {
    await answer(ten.say(`turn ${i}`));
    i < 9 && (await answer(nine.say(`turn ${i}`)));
  }
  expect(ten.undo()).toBe('turn 9');
  expect([ten.messages, ten.tokens]).toEqual([nine.messages, nine.tokens]);
  const [a, b] = [await answer(ten.say('x', { seed: 3 })), await answer(nine.say('x', { seed: 3 }))];
  expect([a.text, a.promptIds]).toEqual([b.text, b.promptIds]);
  expect(a.reusedTokens).toBeGreaterThan(nine.tokens - 60);
  const retried = await answer(ten.retry());
  expect(retried.seed).toBe(1 + 11);
  expect(retried.promptIds).toEqual(a.promptIds);
  expect(retried.computedTokens).toBe(1);
  expect(ten.messages.length).toBe(20);
  while (ten.undo() !== undefined) {}
  expect([ten.messages, ten.tokens]).toEqual([[], 0]);
  model.dispose();
});

it('a template that writes what was said otherwise is right, too', async () => {
  const thinner = CHATML.replace(
    "message['content']",
    "(message['content'] if message.role == 'user' else message['content'][:3])",
  );
  const model = await open({ template: thinner });
  const chat = await model.chat(OPTIONS);
  const first = await answer(chat.say('Hi'));
  const second = await answer(chat.say('And?'));
  const short = first.text.slice(0, 3);
  expect(second.promptIds).toEqual(
    bytes(`${START}user\nHi${END}\n${START}assistant\n${short}${END}\n${START}user\nAnd?${END}\n${START}assistant\n`),
  );
  expect(ids(second)).toEqual(await fresh(model, second.promptIds, 0));
  model.dispose();
});

it('the token that the template writes behind an answer ends it; an abort keeps what was said', async () => {
  const model = await open();
  const chat = await model.chat({ temperature: 0, logitBias: new Map([[IDS[END], 100]]) });
  const ended = await answer(chat.say('Hi'));
  expect([ended.text, ended.finishReason, chat.messages.length]).toEqual(['', 'stop', 2]);
  const controller = new AbortController();
  const other = await model.chat(OPTIONS);
  let said = '';
  for await (const piece of other.say('Hi', { signal: controller.signal })) {
    said += piece;
    controller.abort();
  }
  expect(other.messages).toEqual([
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: said },
  ]);
  const before = new AbortController();
  before.abort();
  const none = await answer(other.say('more', { signal: before.signal }));
  expect([none.finishReason, other.messages.length]).toEqual(['abort', 2]);
  model.dispose();
});

it('a full context is refused with both numbers; with reprefill the oldest turns go and the system stays', async () => {
  const model = await open({ positions: 128 });
  const chat = await model.chat({ ...OPTIONS, system: 'S' });
  await answer(chat.say('a'.repeat(40)));
  await expect(answer(chat.say('b'.repeat(40)))).rejects.toThrow(
    /^the prompt has \d+ tokens and the context 128: no room for one more; undo\(\) takes back a turn; onFull: reprefill drops the oldest$/,
  );
  expect(chat.messages.length).toBe(3);
  const turn = await answer(chat.say('b'.repeat(40), { onFull: 'reprefill' }));
  expect(turn.promptIds).toEqual(
    bytes(`${START}system\nS${END}\n${START}user\n${'b'.repeat(40)}${END}\n${START}assistant\n`),
  );
  expect(chat.messages.length).toBe(5);
  model.dispose();
});

it('without a template the text goes on', async () => {
  const model = await open({ template: null });
  const chat = await model.chat(OPTIONS);
  expect(chat.hasTemplate).toBe(false);
  const first = await answer(chat.say('Once', { logprobs: 1 }));
  expect(first.tokens[0]?.logprob).toBeLessThan(0);
  const second = await answer(chat.say(' more'));
  expect(second.promptIds).toEqual([...bytes('Once'), ...ids(first), ...bytes(' more')]);
  expect(second.reusedTokens).toBe(4 + 11);
  model.dispose();
});
