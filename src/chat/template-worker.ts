// The process of template-process.ts: renders the template that it was started with, message by message. A template may be
// made to fill the memory or to run for ever, so it has a process, which the other ends, and a watch of its own that
// ends it where the other is gone.

import { runInThisContext } from 'node:vm';
import { Template } from '@huggingface/jinja';

/** What it is sent: first a template, then what it is rendered with. */
export type TemplateRequest =
  | { readonly template: string; readonly ms: number }
  | { readonly variables: Readonly<Record<string, unknown>>; readonly ms: number };

/** What it answers; a template that was read has no text. */
export type TemplateAnswer = { readonly text: string } | { readonly error: string };

let template: Template | undefined;

function answer(request: TemplateRequest): string {
  if ('template' in request) {
    template = new Template(request.template);
    return '';
  }
  return (template as Template).render(request.variables);
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
