// The page's script: reads the run that is in the page, and draws what its markup leaves to it.

import { attentionView } from './attention-view.js';
import { Choice } from './choice.js';
import { choiceBar } from './choice-bar.js';
import { byId, make } from './elements.js';
import { readAttention, readRun } from './run-on-page.js';
import { strip } from './strip.js';
import { timeChart } from './time-chart.js';
import { tokenBoxes } from './token-boxes.js';
import { tokenDetails } from './token-details.js';
import { workPictures } from './work-pictures.js';

const run = readRun();
if (run.tokens.length > 0) {
  document.documentElement.classList.add('with-script');
  const choice = new Choice(run.tokens.length);
  choiceBar(run, choice);
  tokenBoxes(choice, tokenDetails(run));
  strip(run, choice);
  workPictures(run, choice);
  if (run.steps.length > 0) {
    timeChart(run, choice);
  }
  void showAttention(choice);
}

async function showAttention(choice: Choice): Promise<void> {
  try {
    const table = await readAttention();
    if (table !== null && table.shape.rows > 0) {
      attentionView(run, table, choice);
    }
  } catch {
    byId('attention').append(
      make('p', 'note', 'This browser cannot unpack the attention (it lacks DecompressionStream).'),
    );
  }
}
