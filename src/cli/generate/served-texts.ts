// Texts that a server makes: how it is reached, what a prompt is sent as, and the requests of a prompt's samples. Knows nothing
// of how texts are written.

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { ChatMessage } from '../../chat/messages.js';
import { chatTemplateOf } from '../../chat/open-template.js';
import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import type { Completion } from '../../completion/complete.js';
import { fitPrompt, type Prompt, textOf } from '../../completion/request.js';
import type { EncodedText, PromptOptions } from '../../completion/text-bounds.js';
import { KvgenError } from '../../errors.js';
import type { SequenceStats } from '../../generation/sequence.js';
import { Connection } from '../../remote/connection.js';
import { PromptScores } from '../../remote/prompt-scores.js';
import { RemoteCompleter } from '../../remote/remote-completer.js';
import { type ServedModel, servedModel } from '../../remote/served-model.js';
import { type ServedRequest, unsureSettings } from '../../remote/served-request.js';
import type { TokenLogprob } from '../../sampling/logprobs.js';
import { randomSeed } from '../../sampling/random.js';
import { readKey } from '../../server/access.js';
import { type GenerateArgs, throwFirst } from '../../settings.js';
import { prepareStops } from '../../text/stop.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { openModelFolder } from '../../weights/adapter-folder.js';
import { findModel } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import type { Terminal } from '../shell/terminal.js';
import { type PreparingPrompt, toMessages } from './opening.js';
import type { FinishedRun, SampleSet, TextRun } from './samples.js';

/** What says which server it is, and how it is asked. */
export type ServerArgs = Pick<GenerateArgs, 'model' | 'server' | 'tokenizer' | 'timeout' | 'verbose'>;

/** A server, the model that it serves, and that model's tokenizer here; the caller's to dispose. */
export interface ReachedServer {
  readonly connection: Connection;
  readonly served: ServedModel;
  readonly completer: RemoteCompleter;
  /** null: none was named, and texts are sent. */
  readonly tokenizer: Tokenizer | null;
  readonly chats: TemplatedPrompts;
  dispose(): void;
}

/** @throws KvgenError where there is no server, no such model there, or no tokenizer here */
export async function reachServer(
  args: ServerArgs,
  { terminal, signal }: Pick<Invocation, 'terminal' | 'signal'>,
): Promise<ReachedServer> {
  const { model, server = '', timeout } = args;
  const connection = new Connection({
    server,
    key: readKey(process.env),
    timeout,
    onNote: (line) => (args.verbose ? terminal.note(line) : undefined),
  });
  terminal.progress(`waiting for ${connection.host}`);
  const isFolder = isModelFolder(model);
  const wanted = model === '' ? {} : { model: isFolder ? basename(model) : model, isFolder };
  const served = await servedModel(connection, wanted, signal);
  const isOfUse = args.tokenizer !== undefined || served.kind.takesIds;
  const folderName = isOfUse ? tokenizerFolder(args) : undefined;
  const folder = folderName === undefined ? null : await openModelFolder(findModel(folderName), signal);
  const tokenizer = folder === null ? null : await loadTokenizer(folder);
  const chats = new TemplatedPrompts(
    folder?.dir ?? '',
    tokenizer,
    async () => folder && tokenizer && chatTemplateOf(folder, tokenizer),
  );
  return {
    connection,
    served,
    completer: new RemoteCompleter(connection, served, tokenizer),
    tokenizer,
    chats,
    dispose() {
      chats.dispose();
      tokenizer?.dispose();
    },
  };
}

/** Says what is asked for though this kind of server may not know it, and ignore it. */
export function noteUnsure(args: GenerateArgs, { served, connection }: ReachedServer, terminal: Terminal): void {
  for (const name of unsureSettings(args, served.kind)) {
    const what = `${name === 'topK' ? '--top-k' : '--min-p'} ${args[name]}`;
    terminal.note(`${connection.host} is sent ${what}, which it may not know, and ignore; 0 turns it off`);
  }
}

/** Where the served model's tokenizer is; undefined: nobody says. */
export function tokenizerFolder({ tokenizer, model }: Pick<ServerArgs, 'tokenizer' | 'model'>): string | undefined {
  return tokenizer ?? (isModelFolder(model) ? model : undefined);
}

function isModelFolder(model: string): boolean {
  return /[/\\]/.test(model) && existsSync(model);
}

/**
 * A prompt as it is sent: its ids, where there is a tokenizer; none where the text is sent.
 * @param prompt a text, or a chat where `args` say so; undefined: it came as ids
 * @throws KvgenError when it does not fit; what `signal` aborts with
 */
export async function servedPrompt(
  prompt: string | readonly ChatMessage[] | undefined,
  args: GenerateArgs,
  server: ReachedServer,
  preparing: Pick<PreparingPrompt, 'onNote' | 'signal'>,
): Promise<Prompt> {
  checkServedArgs(args);
  if (server.tokenizer === null) {
    checkWithoutTokenizer(args);
  }
  const sent = await sentPrompt(prompt, args, server, preparing);
  const { echo, logprobs } = args;
  return echo && logprobs !== undefined
    ? { ...sent, logprobs: await promptLogprobs(sent, logprobs, server, preparing.signal) }
    : sent;
}

/** Asked once for all samples, before them. @throws KvgenError where the server scores no prompts */
async function promptLogprobs(
  { ids }: Prompt,
  k: number,
  { connection, served, tokenizer }: ReachedServer,
  signal: AbortSignal | undefined,
): Promise<readonly TokenLogprob[]> {
  return new PromptScores(connection, served, tokenizer).likeliest(ids, k, signal);
}

async function sentPrompt(
  prompt: string | readonly ChatMessage[] | undefined,
  args: GenerateArgs,
  { served, tokenizer, chats }: ReachedServer,
  { onNote, signal }: Pick<PreparingPrompt, 'onNote' | 'signal'>,
): Promise<Prompt> {
  await prepareStops(args.stop, signal);
  const nCtx = served.nCtx ?? Number.POSITIVE_INFINITY;
  const fitted = (before: readonly number[], ids: readonly number[]) =>
    fitPrompt({ before, ids }, nCtx, args, { advice: 'shorten it, or --truncate-prompt head', onNote });
  if (args.chat) {
    const { text, turnEnds } = await chats.prompt(toMessages(prompt, args), signal);
    return { ids: fitted([], (await tokenizer?.encode(text, { onNote, signal })) ?? []), text, nCtx, turnEnds };
  }
  if (typeof prompt !== 'string') {
    const ids = fitted([], args.promptIds ?? []);
    return { ids, ...(await textOf(ids, tokenizer, signal)), nCtx };
  }
  if (tokenizer === null) {
    return { ids: [], text: prompt, nCtx };
  }
  const { before, ids } = await servedIds(prompt, tokenizer, { bos: args.bos, onNote, signal });
  return { ids: fitted(before, ids), text: prompt, nCtx };
}

/** The ids of a prompt, and what the tokenizer puts before a text. */
export async function servedIds(
  text: string,
  tokenizer: Tokenizer,
  { bos, ...options }: PromptOptions,
): Promise<EncodedText> {
  const ids = await tokenizer.encode(text, options);
  const before = bos ? tokenizer.around.before : [];
  return { before, ids: before.length + ids.length > 0 ? ids : [startOf(tokenizer)] };
}

/** @throws UsageError for what a prompt may ask for and a server does not do */
export function checkServedArgs({ cache, draft, ctxSize, onFull }: GenerateArgs): void {
  const problems = [
    [!cache, '--no-cache'],
    [draft > 0, '--draft'],
    [ctxSize !== undefined, '--ctx-size'],
    [onFull === 'reprefill', '--on-full reprefill'],
  ] as const;
  throwFirst(problems.map(([holds, what]) => [holds, `${what} cannot go with --server`]));
}

/** @throws UsageError for what needs a tokenizer here, where there is none */
export function checkWithoutTokenizer({ chat, echo, logprobs, promptIds, truncatePrompt }: GenerateArgs): void {
  const isText = promptIds === undefined;
  const problems = [
    [chat, "--chat needs the model's template"],
    [isText && truncatePrompt !== undefined, '--truncate-prompt counts tokens'],
    [isText && echo && logprobs !== undefined, '--echo with --logprobs names the tokens of the prompt'],
    [!isText && echo, '--echo of --prompt-ids writes their text'],
  ] as const;
  throwFirst(problems.map(([holds, what]) => [holds, `${what}: with --server it needs --tokenizer`]));
}

/** @throws KvgenError where no token begins texts */
function startOf({ bosId, eosId }: Tokenizer): number {
  const id = bosId ?? eosId;
  if (id === undefined) {
    throw new KvgenError('an empty prompt needs an end-of-text token and the tokenizer has none; give a prompt');
  }
  return id;
}

/** The requests of one prompt's texts. */
export class ServedSamples implements SampleSet<ServedRequest> {
  readonly runs: readonly TextRun[];
  readonly #args: GenerateArgs;
  readonly #prompt: Prompt;
  readonly #served: ServedModel;
  readonly #signal: AbortSignal;

  constructor(args: GenerateArgs, prompt: Prompt, { served, tokenizer }: ReachedServer, signal: AbortSignal) {
    const samples = args.samples ?? 1;
    const seed = args.seed ?? randomSeed() % (served.kind.maxSeed - samples + 2);
    this.runs = Array.from({ length: samples }, (_, i) => ({
      model: served.model,
      machine: null,
      args,
      prompt,
      tokenizer,
      seed: seed + i,
      sample: args.samples === undefined ? null : i,
    }));
    this.#args = args;
    this.#prompt = prompt;
    this.#served = served;
    this.#signal = signal;
  }

  *requests(): Generator<ServedRequest & { readonly run: TextRun }, void> {
    const { json, jsonl, logprobs, colorByProbability } = this.#args;
    const { ids, text, turnEnds = [] } = this.#prompt;
    const { kind } = this.#served;
    const isOfUse = jsonl || colorByProbability;
    const free = isOfUse && (kind.tellsIds || kind.idsInLogprobs) ? 0 : undefined; // others may have none, and need not
    for (const run of this.runs) {
      yield {
        run,
        prompt: { ids: ids.length > 0 ? ids : undefined, text },
        settings: this.#args,
        seed: run.seed,
        logprobs: logprobs ?? free,
        wantsIds: json || jsonl,
        knowsTexts: run.tokenizer !== null,
        turnEnds,
        signal: this.#signal,
      };
    }
  }

  /** Each text is measured by itself. */
  note(_run: TextRun, _stats: SequenceStats): void {}

  finish(run: TextRun, completion: Completion): FinishedRun {
    return {
      ...run,
      completion,
      engine: this.#served.kind.name,
      answerCached: false,
      promptLogprobs: this.#prompt.logprobs ?? null,
      promptCache: null,
      verify: null,
    };
  }
}
