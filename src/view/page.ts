// The page of a run: one HTML file that asks for nothing from anywhere. The text and the tables are in its markup; its script
// (page/) draws the rest from the data in it. Knows the record alone.

import { factList, headline } from './facts-markup.js';
import { contentPolicy, escapeMarkup, jsonBlock, piecesMarkup } from './markup.js';
import { byteCount, count, times } from './number-words.js';
import { type PackedAttention, packAttention } from './pack-attention.js';
import { DATA, pageData } from './page-data.js';
import { type PageFiles, pageFiles } from './page-files.js';
import type { RunRecord } from './run-record.js';
import { exactly, legend, tokenBoxes, tokenTable } from './text-markup.js';
import { visibleLine, visiblePieces } from './visible-text.js';

const LONGEST_TITLE = 60;

/** A page of 1,000 tokens is smaller than 5 MB. What the text leaves of this is for attention, but some is always for it. */
const MOST_BYTES = 4_800_000;
const LEAST_ATTENTION_BYTES = 400_000;

export function pageOf(record: RunRecord): string {
  const files = pageFiles();
  const [text, numbers, data] = [textPart(record), numbersPart(record), jsonBlock(DATA.run, pageData(record))];
  const taken = Buffer.byteLength(text + numbers + data + files.script + files.style);
  const room = Math.max(LEAST_ATTENTION_BYTES, MOST_BYTES - taken);
  const packed = record.attention === null ? null : packAttention(record.attention, room);
  return `<!doctype html>
<html lang="en">
${head(record, files)}
<body>
<a class="skip" href="#text">To the text</a>
${top(record)}
<main>
${text}
${cachePart(record)}
${attentionPart(record, packed)}
${timePart(record)}
${numbers}
</main>
${foot(files)}
${data}
${packed === null ? '' : jsonBlock(DATA.attention, { shape: packed.shape, base64: packed.base64 })}
<script>${files.script}</script>
</body>
</html>
`;
}

function head({ report }: RunRecord, { script, style }: PageFiles): string {
  const title = visibleLine(visiblePieces(report.prompt, LONGEST_TITLE));
  return `<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(script, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escapeMarkup(`${title === '' ? 'A run' : title} · kvgen view`)}</title>
<style>${style}</style>
</head>`;
}

function top(record: RunRecord): string {
  const model = piecesMarkup(visiblePieces(record.report.model, LONGEST_TITLE));
  return `<header>
<p class="brand">kvgen view</p>
<h1>One run of ${model}, token by token</h1>
${headline(record)}
</header>
<div class="bar scripted" role="region" aria-label="Choose a token">
<button type="button" id="previous" aria-label="Previous token">←</button>
<input type="range" id="slider" min="0" max="0" value="0" step="1" aria-label="Token">
<button type="button" id="next" aria-label="Next token">→</button>
<button type="button" id="play">Play</button>
<output id="chosen" for="slider" aria-live="polite"></output>
</div>`;
}

function part(id: string, title: string, inner: string, needsScript = true): string {
  const classes = needsScript ? ' class="scripted"' : '';
  return `<section id="${id}" aria-labelledby="${id}-title"${classes}><h2 id="${id}-title">${title}</h2>\n${inner}</section>`;
}

function textPart(record: RunRecord): string {
  const empty = record.report.prompt_ids.length + record.report.ids.length === 0;
  return part(
    'text',
    'The text',
    `<p>Each box is a token. The nearer its colour is to the paper's, the surer the model was of it; a strong colour is a surprise. <span class="scripted">Point at one, or choose it, and see what else it might have been.</span></p>
${legend()}
<div class="text-and-details">${empty ? '<p class="empty">No tokens.</p>' : tokenBoxes(record)}
<aside id="details" class="scripted" aria-label="The chosen token" tabindex="0"></aside></div>
<noscript><p class="note">The text and the tables on this page need no script. The pictures of cache, attention and time do.</p></noscript>
`,
    false,
  );
}

function cachePart({ report, model, steps }: RunRecord): string {
  const shared =
    model.nKvHead < model.nHead
      ? ` This model's ${model.nHead} heads share ${model.nKvHead} heads of keys and values, so its cache is ${times(model.nHead / model.nKvHead)} smaller than with one each.`
      : '';
  const off = report.cache.enabled
    ? ''
    : '<p class="note">This run had no cache (<code>--no-cache</code>): every pass computed all tokens anew. The strip shows what a cache would have held.</p>';
  const drafted = steps.some(({ cachedMs }) => cachedMs === 0)
    ? '<p class="note">A draft guessed some of these tokens, and one pass checked several. The pictures show each token as a pass of its own.</p>'
    : '';
  return part(
    'cache',
    'The cache',
    `<p>A token's keys and values depend on it and on what is before it, never on what comes after: once computed they stay as they are. The cache keeps them, so a pass computes only what is new.${shared}</p>
${off}${drafted}
<p id="pass" class="pass"></p>
<div id="strip" class="strip" role="img" aria-labelledby="pass"></div>
<ul id="sources" class="legend" aria-label="Where keys and values came from"></ul>
<p class="small">A position takes ${exactly(byteCount(model.bytesPerPosition))} in all layers: ${exactly(byteCount(model.bytesPerPosition / 2))} of keys and as much of values.</p>
<div class="compare">
<figure><figcaption>With the cache: the diagonal</figcaption><svg id="diagonal" role="img" aria-labelledby="work-caption"></svg></figure>
<figure><figcaption>Without it: the triangle</figcaption><svg id="triangle" role="img" aria-labelledby="work-caption"></svg></figure>
</div>
<p class="small">Down: passes, the prompt's first. Across: positions. A filled place was computed by that pass, in all ${model.nLayer} layers; the marked line is the chosen token's.</p>
<table id="work" class="work-table"><caption id="work-caption">Tokens × layers to compute</caption>
<thead><tr><td></td><th scope="col">with the cache</th><th scope="col">without</th><th scope="col">less by</th></tr></thead><tbody></tbody></table>
`,
  );
}

function attentionPart(record: RunRecord, packed: PackedAttention | null): string {
  if (packed === null) {
    const why = escapeMarkup(visibleLine(visiblePieces(record.attentionMissing ?? 'it was not asked for', 500)));
    return part('attention', 'Attention', `<p class="note">Attention was not recorded: <bdi>${why}</bdi>.</p>`, false);
  }
  if (packed.shape.rows === 0) {
    return part(
      'attention',
      'Attention',
      '<p class="note">No token was run, so none has looked at another.</p>',
      false,
    );
  }
  const { kept } = packed;
  const left =
    kept === null ? '' : ` Of a long row only the ${count(kept)} largest weights are kept; the others are summed.`;
  return part(
    'attention',
    'Attention',
    `<p>To predict what comes next, each head of each layer mixes the values of earlier tokens. The weights of the mixture, which sum to 1, say what it looked at.</p>
<p id="looking" class="pass"></p>
<div class="choice"><label>Layer <select id="layer"></select></label> <label>Head <select id="head"></select></label></div>
<div id="heat" class="tokens heat" translate="no" role="img" aria-labelledby="looking"></div>
<ul class="legend" id="heat-legend" aria-label="Colours of weights"></ul>
<details id="weights"><summary>These weights as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="Weights"></div></details>
<h3 id="heads-title">All heads</h3>
<p class="small">A small square for each head: down, the token that looks; across, what it looks at; the stronger, the more. Choose one to see it above.</p>
<div class="scroll" id="heads-scroll"><div id="heads" role="radiogroup" aria-labelledby="heads-title"></div></div>
<p class="small">Weights are kept as whole 255ths, rounded so that they still sum to 1.${left}</p>
`,
  );
}

function timePart(record: RunRecord): string {
  if (record.steps.length === 0) {
    return part('time', 'Time', '<p class="note">No token was generated, so there is no time of one.</p>', false);
  }
  const untimed = record.steps.every(({ uncachedMs }) => uncachedMs === null)
    ? '<p class="note">Passes without the cache were not measured in this run.</p>'
    : '';
  return part(
    'time',
    'Time',
    `<p>How long the pass took that led to each token: of the first, the whole prompt's. With the cache it hardly grows; without it each pass is as long as the text.</p>
${untimed}
<p id="time-words" class="pass"></p>
<div class="choice"><label><input type="checkbox" id="logarithmic"> logarithmic scale</label></div>
<figure><div id="chart" role="img" aria-labelledby="time-words"></div></figure>
<p class="small">The same numbers are in the <a href="#numbers">table of all tokens</a>.</p>
`,
  );
}

function numbersPart(record: RunRecord): string {
  const inner = `<p>As <code>--json</code> has them. A rounded number has its exact value as a title.</p>
${factList(record)}
<details id="table"><summary>All tokens as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="All tokens">${tokenTable(record)}</div></details>
`;
  return part('numbers', 'The numbers', inner, false);
}

function foot({ licence }: PageFiles): string {
  return `<footer>
<p>Made by <code>kvgen view</code>. This page asks for nothing from anywhere. The chart of times is drawn by uPlot.</p>
<details><summary>uPlot's licence</summary><pre>${escapeMarkup(licence)}</pre></details>
</footer>`;
}
