// `kvgen generate --server`: the texts of one prompt, made by a server and written as if they were made here. What came before
// a connection broke is written too, and the error after it.

import type { CompletionEvent } from '../../completion/complete-many.js';
import { EXIT } from '../../errors.js';
import type { ServedRequest } from '../../remote/served-request.js';
import type { GenerateArgs } from '../../settings.js';
import type { Invocation } from '../shell/command.js';
import { promptText } from '../shell/prompt-input.js';
import type { TextRun } from './samples.js';
import {
  checkServedArgs,
  checkWithoutTokenizer,
  noteUnsure,
  reachServer,
  ServedSamples,
  servedPrompt,
  tokenizerFolder,
} from './served-texts.js';
import { type TextEvent, type Texts, writeTexts } from './write-texts.js';

/** Requests that are asked together. */
const TOGETHER = 16;

export async function generateServed(invocation: Invocation, args: GenerateArgs): Promise<number> {
  const { terminal, signal } = invocation;
  checkServedArgs(args);
  if (tokenizerFolder(args) === undefined) {
    checkWithoutTokenizer(args); // before anybody is asked
  }
  const text = await promptText(invocation, args);
  const server = await reachServer(args, invocation);
  noteUnsure(args, server, terminal);
  try {
    const prompt = await servedPrompt(text, args, server, { onNote: (line) => terminal.note(line), signal });
    const failed = new AbortController();
    const stopped = AbortSignal.any([signal, terminal.closed, failed.signal]);
    const samples = new ServedSamples(args, prompt, server, stopped);
    const requests = samples.requests();
    const source = { take: () => requests.next().value ?? undefined, wait: async () => false };
    const texts: Texts = {
      runs: samples.runs,
      note: () => {},
      finish: (run, completion) => samples.finish(run, completion),
    };
    terminal.progress(`waiting for ${server.connection.host}`);
    await writeTexts({ args, terminal }, texts, endingAll(server.completer.complete(source, TOGETHER), failed));
    return EXIT.ok;
  } finally {
    server.dispose();
  }
}

type ServedEvents = AsyncIterable<CompletionEvent<ServedRequest & { readonly run: TextRun }>>;

/** Where one text fails the others end too, all with what came of them. @throws the failure, behind all ends */
async function* endingAll(events: ServedEvents, failed: AbortController): AsyncGenerator<TextEvent, void> {
  let failure: { readonly error: unknown } | undefined;
  for await (const event of events) {
    if (!('error' in event)) {
      yield event;
      continue;
    }
    failure ??= event;
    failed.abort();
    if (event.partial !== undefined && event.partial.tokens.length > 0) {
      yield { request: event.request, end: event.partial };
    }
  }
  if (failure !== undefined) {
    throw failure.error;
  }
}
