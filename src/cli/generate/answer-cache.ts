// The answer cache: what decides a text, as one question; and a finished run as the answer to it. The question is
// everything that was asked for but how it is shown, so an option that is added is part of it by itself.

import type { CompletionToken } from '../../completion/complete.js';
import type { FinishReason } from '../../generation/generate.js';
import { status } from '../../native/status.js';
import type { TokenLogprob } from '../../sampling/logprobs.js';
import { type GenerateArgs, wantedLogprobs, wantsPromptCache } from '../../settings.js';
import type { AnswerStore } from '../../store/answers.js';
import { type Backend, defaultThreads } from '../../tf/backend.js';
import { weightBytes } from '../../weights/find.js';
import { printable } from '../shell/terminal.js';
import { kvgenVersion } from '../shell/version.js';
import type { GenerateRun } from './run-record.js';

/** What TensorFlow reads from the environment and that may change how it rounds. */
const ENVIRONMENT = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'OMP_NUM_THREADS', 'TF_ENABLE_ONEDNN_OPTS'];
const WORDS = 60;

export interface Answer {
  readonly tokens: readonly CompletionToken[];
  readonly finishReason: FinishReason;
  readonly promptLogprobs: readonly TokenLogprob[] | null;
  readonly seed: number;
  readonly engine: string;
  readonly positions: number;
  readonly bytes: number;
}

/** What a run is going to be computed on, known without loading it. */
export type Machine = Pick<Backend, 'name' | 'threads'>;

/** @param dir the model's folder */
export function machineFor({ backend, threads }: GenerateArgs, dir: string): Machine {
  const name = backend === 'auto' ? (status().engine === 'native' ? 'node' : 'wasm') : backend;
  return { name, threads: name === 'node' ? (threads ?? defaultThreads(weightBytes(dir))) : 1 };
}

/**
 * Everything that decides the answer.
 * @returns why there can be no saved answer, as `reason`, or the question
 */
export function askQuestion(
  args: GenerateArgs,
  machine: Machine,
  fingerprint: string,
  promptIds: readonly number[],
): { readonly question: string } | { readonly reason: string } {
  const native = status();
  const tensorflow = native.engine === 'native' ? native.tensorflow : undefined;
  if (args.seed === undefined && args.temperature > 0) {
    return { reason: 'every run has a seed of its own; give --seed, or --temp 0' };
  }
  if (machine.name === 'node' && tensorflow === undefined) {
    return { reason: 'which TensorFlow this is cannot be told; `kvgen setup` installs one' };
  }
  const {
    model,
    file,
    truncatePrompt,
    json,
    jsonl,
    logprobs,
    separator,
    stream,
    echo,
    verbose,
    quiet,
    color,
    ...rest
  } = args;
  const { cacheDir, writeCache, answerCache, verifyCache, seed, backend, threads, logitBias, ...options } = rest;
  return {
    question: JSON.stringify({
      fingerprint,
      promptIds,
      options: { ...options, promptIds: undefined, promptCache: wantsPromptCache(args, process.env) },
      logitBias: [...logitBias].map(([id, bias]) => [id, String(bias)]).toSorted(([a], [b]) => Number(a) - Number(b)),
      seed: args.temperature > 0 ? seed : null,
      logprobs: [wantedLogprobs(args) ?? null, echo && logprobs !== undefined],
      machine,
      environment: ENVIRONMENT.map((name) => process.env[name] ?? null),
      versions: [kvgenVersion(), machine.name === 'node' ? tensorflow : null],
    }),
  };
}

/** Keeps runs of one question, one a sample, that came to their end by themselves. */
export function keepAnswer(store: AnswerStore, question: string, runs: readonly [GenerateRun, ...GenerateRun[]]): void {
  if (runs.some(({ finishReason }) => finishReason === 'abort')) {
    return;
  }
  const [first] = runs;
  const generated = runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
  store.keep({
    question,
    answer: runs.map(toAnswer),
    meta: {
      model: first.model,
      created: new Date().toISOString(),
      words: firstWords(first.prompt),
      tokens: first.promptIds.length + generated,
      ms: Math.max(...runs.map(({ stats }) => (stats.firstTokenMs ?? stats.promptMs ?? 0) + (stats.decodeMs ?? 0))),
    },
  });
}

function toAnswer({ tokens, finishReason, promptLogprobs, seed, engine, stats }: GenerateRun): Answer {
  const { cachePositions: positions, cacheBytes: bytes } = stats;
  return { tokens, finishReason, promptLogprobs, seed, engine, positions, bytes };
}

/** The saved tokens as the loop would have yielded them. */
export async function* replay({ tokens, finishReason }: Answer): AsyncGenerator<CompletionToken, FinishReason> {
  yield* tokens;
  return finishReason;
}

/** A prompt's beginning, for a list. */
export function firstWords(text: string): string {
  const line = printable(text.slice(0, 2 * WORDS)).trim();
  return line.length > WORDS ? `${line.slice(0, WORDS - 1).replace(/[\ud800-\udbff]$/, '')}…` : line;
}
