// The process of template-process.ts: renders the template that it was started with, message by message. A template may be
// made to fill the memory or to run for ever, so it has a process, which the other ends, and a watch of its own that
// ends it where the other is gone.

import { runInThisContext } from 'node:vm';
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { strftime } from './strftime.js';

/** What it is sent: first a template, then what it is rendered with. */
export type TemplateRequest =
  | { readonly template: string; readonly ms: number }
  | { readonly variables: Readonly<Record<string, unknown>>; readonly ms: number };

/** What it answers; a template that was read has no text. */
export type TemplateAnswer = { readonly text: string } | { readonly error: string };

/**
 * What transformers gives every template. Dates are not the engine's own, which knows few codes and writes months in the
 * language of the machine.
 */
const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  strftime_now: (format: string) => strftime(new Date(), format),
};

let template: Template | undefined;

function answer(request: TemplateRequest): string {
  if ('template' in request) {
    template = new Template(request.template);
    return '';
  }
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...request.variables })) {
    environment.set(name, value);
  }
  return String(new Interpreter(environment).run((template as Template).parsed).value);
}

/** As in Python. */
function range(first: number, end?: number, step = 1): number[] {
  const [from, to] = end === undefined ? [0, first] : [first, end];
  const length = step === 0 ? 0 : Math.max(0, Math.ceil((to - from) / step));
  return Array.from({ length }, (_, i) => from + i * step);
}

/** node:vm counts the time of whatever is called inside, and ends it. */
function withinTime<T>(work: () => T, timeout: number): T {
  const call = runInThisContext('(work) => work()') as (work: () => T) => T;
  Object.assign(globalThis, { kvgenWork: () => call(work) });
  return runInThisContext('kvgenWork()', { timeout }) as T;
}

function respond(request: TemplateRequest): TemplateAnswer {
  try {
    return { text: withinTime(() => answer(request), request.ms) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

process.on('SIGINT', () => {}); // Ctrl-C is for whoever asked, who ends this process
process.on('message', (request: TemplateRequest) => {
  process.send?.(respond(request));
});
