// What makes the texts of a batch: a model that is loaded here, or a server. Both read the prompts of lines and make the samples of
// each. Knows nothing of lines that wait.

import { TemplatedPrompts } from '../../chat/templated-prompts.js';
import { type Completer, localCompleter } from '../../completion/completer.js';
import { type CompletionRequest, idsWithoutToken, type Prompt } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import type { Model } from '../../library/model.js';
import type { ModelConfig } from '../../model/config.js';
import type { ServedRequest } from '../../remote/served-request.js';
import type { GenerateArgs } from '../../settings.js';
import { type SampleSet, Samples } from '../generate/samples.js';
import type { Saved } from '../generate/saved.js';
import { type ReachedServer, ServedSamples, servedPrompt } from '../generate/served-texts.js';
import { type PromptOfLine, promptsOfModel } from './batch-line.js';

/** Makes texts from requests of the form `Q`. */
export interface BatchTexts<Q> {
  readonly completer: Completer<Q>;
  readonly promptOf: PromptOfLine;
  samples(args: GenerateArgs, prompt: Prompt): SampleSet<Q>;
  /** Of the model, which says what an order saves; null: the server orders its own work. */
  readonly config: ModelConfig | null;
  dispose(): void;
}

interface LocalParts {
  readonly model: Model;
  /** Guesses for --draft; null: what was said before does. */
  readonly draft: Model | null;
  readonly saved: Saved | null;
  readonly stopped: AbortSignal;
}

export function textsOfModel({ model, draft, saved, stopped }: LocalParts): BatchTexts<CompletionRequest> {
  const banned = idsWithoutToken(model.tokenizer, model.config);
  const chats = new TemplatedPrompts(model.dir, model.tokenizer, () => model.chatTemplate());
  return {
    completer: localCompleter(model.engine, model.tokenizer),
    promptOf: promptsOfModel(model, chats),
    samples(args, prompt) {
      const prompts = saved?.prompts(model, prompt.text) ?? null;
      const drafter = drafterOf(draft?.engine ?? null, model.engine);
      const wishes = { logprobs: args.logprobs, signal: stopped, drafter };
      return new Samples({ args, prompt, model, banned, prompts, savesInterrupted: false, wishes });
    },
    config: model.config,
    dispose: () => chats.dispose(),
  };
}

export function textsOfServer(server: ReachedServer, stopped: AbortSignal): BatchTexts<ServedRequest> {
  return {
    completer: server.completer,
    promptOf: (prompt, args, preparing) => servedPrompt(prompt, args, server, preparing),
    samples: (args, prompt) => new ServedSamples(args, prompt, server, stopped),
    config: null,
    dispose: () => server.dispose(),
  };
}
