// `kvgen serve`: an OpenAI-compatible server on this machine, until a signal ends it. stdout stays empty; stderr has a line
// for each request.

import { isIPv6 } from 'node:net';
import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { contextSize, idsWithoutToken } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { EXIT, errorMessage } from '../../errors.js';
import { folderSource, type Model, openModel } from '../../library/model.js';
import { kvgenVersion } from '../../native/status.js';
import { Access, addressOf, readKey } from '../../server/access.js';
import { checkPort } from '../../server/free-port.js';
import { openServer, type RunningServer, whyNoChat } from '../../server/open-server.js';
import {
  checkCacheEnvironment,
  checkDraftModel,
  checkGenerateArgs,
  GENERATE,
  type GenerateArgs,
  settingsOf,
} from '../../settings.js';
import { findModel } from '../../weights/find.js';
import { noteContext, onOpening, openDraftModel, savedFor } from '../generate/opening.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import { SERVE, type ServeArgs } from '../shell/command-settings.js';

export async function serveCommand({ settings, terminal, signal }: Invocation): Promise<number> {
  const serve = settings(SERVE);
  const args = settingsOf(GENERATE, serve);
  checkGenerateArgs(args, undefined);
  checkDraftModel(args);
  checkCacheEnvironment(args);
  const key = readKey(process.env);
  const address = await addressOf(serve.host, key);
  await checkPort(address, serve.port);
  await terminal.configure(serve);
  const found = findModel(serve.model);
  const saved = await savedFor(args, found, { terminal, signal });
  const source = await folderSource(found, signal);
  contextSize(args.ctxSize, source.shape.config); // before anything is loaded: it may be refused
  noteContext(args, source.shape.config, terminal);
  const model = await openModel(source, onOpening(args, terminal, signal));
  let draft: Model | null = null;
  try {
    await saved?.identify(source.folder);
    draft = await openDraftModel(args, model, terminal, signal);
    await serveUntil(signal, { serve, args, address, key, model, draft, saved, terminal });
    return EXIT.ok;
  } finally {
    model.dispose();
    draft?.dispose();
  }
}

interface Serving extends Pick<Invocation, 'terminal'> {
  readonly serve: ServeArgs;
  readonly args: GenerateArgs;
  readonly address: string;
  readonly key: string | undefined;
  readonly model: Model;
  /** Guesses for --draft; null: what was said before does. */
  readonly draft: Model | null;
  /** null: nothing is kept on disk. */
  readonly saved: Saved | null;
}

/** Serves until the signal aborts, and then until the last request is answered. */
async function serveUntil(signal: AbortSignal, serving: Serving): Promise<void> {
  const { serve, address, model, terminal } = serving;
  const chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
  try {
    const server = await open(serving, chats, signal);
    const port = await server.listen(address, serve.port);
    terminal.progressDone();
    terminal.note(startLine(serving, port));
    await aborted(signal);
    terminal.note(`${(signal.reason as Error).message}: no more requests; those that run are answered`);
    await server.close();
  } finally {
    chats.dispose();
  }
}

async function open(serving: Serving, chats: TemplatedPrompts, signal: AbortSignal): Promise<RunningServer> {
  const { serve, args, key, model, draft, saved, terminal } = serving;
  const noChat = await whyNoChat(chats, model.name, signal);
  return openServer({
    served: {
      name: model.name,
      names: [...new Set([model.name, serve.model])],
      fingerprint: `kvgen-${kvgenVersion()}-${model.backend}-${model.weights}`,
    },
    of: {
      model,
      banned: idsWithoutToken(model.tokenizer, model.config),
      drafter: drafterOf(draft?.engine ?? null, model.engine),
      savedPrompts: (text) => saved?.prompts(model, text) ?? null,
    },
    nCtx: contextSize(args.ctxSize, model.config),
    draft: args.draft,
    chats,
    noChat,
    access: new Access(serve.host, key),
    limits: { concurrency: serve.concurrency, queue: serve.queue },
    verbose: serve.verbose,
    onLine: (line) => terminal.note(line),
    onError: (error) => terminal.error(errorWords(error)),
  });
}

function startLine({ serve, model, key }: Serving, port: number): string {
  const host = isIPv6(serve.host) ? `[${serve.host}]` : serve.host;
  const parts = [
    `serving ${model.name} at http://${host}:${port}/v1`,
    `${model.backend}, ${model.weights}, threads ${model.threads}`,
    `${serve.concurrency} texts together, ${serve.queue} requests may wait`,
    key === undefined ? undefined : 'requests need the key',
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** What went wrong inside; its stack where that was asked for. */
function errorWords(error: unknown): string {
  return process.env.KVGEN_DEBUG === '1' && error instanceof Error
    ? (error.stack ?? error.message)
    : errorMessage(error);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
}
