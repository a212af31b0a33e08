// The bar that stays in sight: a slider over all tokens, a step back and forth, and a walk through the text.

import { probability } from '../number-words.js';
import type { PageData } from '../page-data.js';
import type { Choice } from './choice.js';
import { byId } from './elements.js';
import { tokenName } from './run-on-page.js';

const STEP_MS = 160;

export function choiceBar(run: PageData, choice: Choice): void {
  const slider = byId<HTMLInputElement>('slider');
  slider.max = String(choice.count - 1);
  slider.addEventListener('input', () => choice.choose(slider.valueAsNumber));
  byId('previous').addEventListener('click', () => choice.choose(choice.position - 1));
  byId('next').addEventListener('click', () => choice.choose(choice.position + 1));
  choice.onChange((position) => {
    const words = describe(run, position);
    slider.value = String(position);
    slider.setAttribute('aria-valuetext', words);
    byId('chosen').textContent = words;
  });
  document.addEventListener('keydown', (event) => {
    if (event.target === document.body && !event.altKey && !event.ctrlKey && !event.metaKey) {
      stepByKey(event.key, choice);
    }
  });
  playButton(choice);
}

function describe(run: PageData, position: number): string {
  const token = run.tokens[position];
  const where = position < run.promptTokens ? 'prompt' : 'written';
  const said = token === undefined || token.logprob === null ? '' : ` · ${probability(token.logprob).words}`;
  return `${position + 1} of ${run.tokens.length} · ${where} · ${tokenName(run, position)}${said}`;
}

/** True for a key that chooses. */
export function stepByKey(key: string, choice: Choice): boolean {
  const targets: Readonly<Record<string, number>> = {
    ArrowLeft: choice.position - 1,
    ArrowRight: choice.position + 1,
    Home: 0,
    End: choice.count - 1,
  };
  const target = targets[key];
  if (target === undefined) {
    return false;
  }
  choice.choose(target);
  return true;
}

function playButton(choice: Choice): void {
  const button = byId<HTMLButtonElement>('play');
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    show();
  };
  const show = () => {
    const plays = timer !== undefined;
    button.textContent = plays ? 'Pause' : 'Play';
    byId('chosen').setAttribute('aria-live', plays ? 'off' : 'polite'); // nobody could listen so fast
  };
  const step = () => (choice.position < choice.count - 1 ? choice.choose(choice.position + 1) : stop());
  button.addEventListener('click', () => {
    if (timer !== undefined) {
      stop();
      return;
    }
    choice.choose(choice.position < choice.count - 1 ? choice.position : 0);
    timer = setInterval(step, STEP_MS);
    show();
  });
}
