// The answer cache: everything that decides a text is a question, the finished texts are its answer. A new setting is
// part of the question by itself, unless `question` leaves it out. Knows nothing of files or of how a text is made.

import { joinedText } from '../../completion/complete.js';
import type { Prompt } from '../../completion/request.js';
import { NOTHING_MEASURED } from '../../generation/sequence.js';
import type { Machine } from '../../library/machine.js';
import type { ModelSource } from '../../library/model.js';
import { kvgenVersion, status } from '../../native/status.js';
import { type GenerateArgs, wantedLogprobs, wantsPromptCache } from '../../settings.js';
import type { AnswerStore } from '../../store/answers.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { goesOnFrom } from './opening.js';
import type { FinishedRun } from './samples.js';
import { firstWords, type Saved } from './saved.js';
import { type Answer, isAnswers, toAnswer } from './saved-answer.js';
import type { TextEvent, Texts } from './write-texts.js';

/** Environment variables that may change how TensorFlow rounds. */
const ENVIRONMENT = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'OMP_NUM_THREADS', 'TF_ENABLE_ONEDNN_OPTS'];

/** What the question is made of, and what a found answer needs to be shown. */
interface AnswerRequest {
  readonly args: GenerateArgs;
  readonly source: ModelSource;
  /** What a run would be computed on. */
  readonly machine: Machine;
  readonly saved: Saved | null;
  readonly prompt: Prompt;
  readonly tokenizer: Tokenizer | null;
  readonly onNote: (line: string) => void;
}

/** One question and the store of answers. */
export class AskedAnswers {
  readonly #request: AnswerRequest;
  readonly #store: AnswerStore;
  readonly #fingerprint: string;
  readonly #question: string;

  private constructor(request: AnswerRequest, store: AnswerStore, fingerprint: string) {
    const { args, machine, prompt } = request;
    this.#request = request;
    this.#store = store;
    this.#fingerprint = fingerprint;
    this.#question = question(args, machine, fingerprint, prompt);
  }

  /** @returns null where there can be no saved answer; a note says why */
  static ask(request: AnswerRequest): AskedAnswers | null {
    const { args, machine, saved, onNote } = request;
    const problem = whyNot(args, machine);
    if (saved?.answers == null || problem !== null) {
      onNote(`--answer-cache does not apply: ${problem}`);
      return null;
    }
    return new AskedAnswers(request, saved.answers, saved.fingerprint);
  }

  /** The saved texts as if they had just been computed; null: there are none. */
  find(): { readonly texts: Texts; readonly events: AsyncIterable<TextEvent> } | null {
    const { samples = 1 } = this.#request.args;
    const answers = this.#store.find(this.#question, (found) => isAnswers(found, samples));
    if (answers === undefined) {
      return null;
    }
    const runs = answers.map((answer, i) => this.#finished(answer, i));
    const texts: Texts = { runs, note: () => {}, finish: (run) => run as FinishedRun };
    return { texts, events: replay(runs) };
  }

  /** Saves the texts, unless one was interrupted, or loading has opened files that the question knows nothing of. */
  keep(runs: readonly FinishedRun[]): void {
    const [first] = runs;
    const isOfModel = this.#request.saved?.fingerprint === this.#fingerprint;
    if (first === undefined || !isOfModel || runs.some(({ completion }) => completion.finishReason === 'abort')) {
      return;
    }
    const generated = runs.reduce((sum, { completion }) => sum + completion.tokens.length, 0);
    const times = runs.map(
      ({ completion: { stats } }) => (stats.firstTokenMs ?? stats.promptMs ?? 0) + (stats.decodeMs ?? 0),
    );
    this.#store.keep({
      question: this.#question,
      answer: runs.map(toAnswer),
      meta: {
        model: first.model,
        created: new Date().toISOString(),
        words: firstWords(first.prompt.text),
        tokens: first.prompt.ids.length + generated,
        ms: Math.max(...times),
      },
    });
  }

  #finished(answer: Answer, i: number): FinishedRun {
    const { args, source, machine, prompt, tokenizer } = this.#request;
    const { tokens, finishReason, engine, promptLogprobs, positions, bytes } = answer;
    const stats = {
      ...NOTHING_MEASURED,
      loadMs: performance.now(),
      generationTokens: tokens.length,
      cachePositions: positions,
      cacheBytes: bytes,
    };
    const text = joinedText(tokens);
    return {
      model: source.name,
      machine,
      args,
      prompt,
      tokenizer,
      seed: args.seed === undefined ? answer.seed : args.seed + i,
      sample: args.samples === undefined ? null : i,
      completion: { finishReason, stats, text, tokens },
      engine,
      answerCached: true,
      promptLogprobs,
      promptCache: null,
      verify: null,
    };
  }
}

/** The events that the model gave when the texts were computed. */
async function* replay(runs: readonly FinishedRun[]): AsyncGenerator<TextEvent, void> {
  for (const run of runs) {
    const { tokens, stats } = run.completion;
    yield { request: { run }, tokens, stats };
    yield { request: { run }, end: run.completion };
  }
}

/** The version of the TensorFlow that kvgen installed; undefined: only loading it would tell. */
function installedTensorflow(): string | undefined {
  const native = status();
  return native.engine === 'native' ? native.tensorflow : undefined;
}

/** Why there can be no saved answer; null: there can be one. */
function whyNot({ seed, temperature, draftModel }: GenerateArgs, machine: Machine): string | null {
  if (seed === undefined && temperature > 0) {
    return 'every run has a seed of its own; give --seed, or --temp 0';
  }
  if (draftModel !== undefined && machine.backend !== 'simd') {
    return `on ${machine.backend} a draft model changes how logits are rounded; leave --draft-model out, or use --backend simd`;
  }
  return machine.backend === 'node' && installedTensorflow() === undefined
    ? 'which TensorFlow this is cannot be told; `kvgen setup` installs one'
    : null;
}

/** Everything that decides the answer; the settings named here are left out, or are written in another form below. */
function question(args: GenerateArgs, machine: Machine, fingerprint: string, prompt: Prompt): string {
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
    colorByProbability,
    ...rest
  } = args;
  const {
    keep,
    cacheDir,
    writeCache,
    answerCache,
    verifyCache,
    seed,
    backend,
    threads,
    weights,
    logitBias,
    draft,
    draftModel,
    ...options
  } = rest;
  const asked = {
    fingerprint,
    promptIds: prompt.ids,
    turnEnds: prompt.turnEnds,
    options: { ...options, promptIds: undefined, promptCache: wantsPromptCache(args, process.env) },
    draft: draft === 0 || machine.backend === 'simd' ? undefined : draft, // on the others it changes how logits are rounded
    logitBias: [...logitBias].map(([id, bias]) => [id, String(bias)]).toSorted(([a], [b]) => Number(a) - Number(b)),
    seed: args.temperature > 0 ? seed : null,
    goesOn: goesOnFrom(prompt, args) || undefined,
    logprobs: [wantedLogprobs(args) ?? null, echo && logprobs !== undefined],
    machine: { name: machine.backend, threads: machine.threads, weights: unlessDefault(machine) },
    environment: ENVIRONMENT.map((name) => process.env[name] ?? null),
    versions: [kvgenVersion(), machine.backend === 'node' ? installedTensorflow() : null],
  };
  return JSON.stringify(asked, (_, value) => (value instanceof Map ? [...value] : value));
}

/** undefined, which JSON leaves out, where they are computed as they always were before there was a choice. */
function unlessDefault({ weights }: Machine): string | undefined {
  return weights === 'float32' ? undefined : weights;
}
