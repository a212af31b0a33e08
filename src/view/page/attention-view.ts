// What the chosen token looked at, in a layer and a head or in the mean of several: the tokens before it in the colours of
// their weights, and as a table.

import { type AttentionTable, WHOLE } from '../attention-table.js';
import { percent } from '../number-words.js';
import type { PageData } from '../page-data.js';
import { tokenPieces } from '../visible-text.js';
import type { Choice } from './choice.js';
import { byId, make, number, piecesElement, row } from './elements.js';
import { headGrid } from './head-grid.js';
import { tokenName } from './run-on-page.js';

/** The mean of all layers or heads. */
const MEAN = -1;
/** Steps of the heat's colour. */
const STEPS = 8;
const LONGEST = 60;
/** Tokens that the sentence names. */
const NAMED = 3;

interface Weights {
  /** By position, summing with `rest` to 1. */
  readonly shares: Float64Array;
  readonly rest: number;
}

export function attentionView(run: PageData, table: AttentionTable, choice: Choice): void {
  const layer = selectOf('layer', table.shape.layers);
  const head = selectOf('head', table.shape.heads);
  const boxes = run.tokens.map((token) => make('span', 'token', piecesElement(tokenPieces(token, LONGEST))));
  byId('heat').replaceChildren(...boxes);
  byId('heat-legend').replaceChildren(...heatLegend());
  const grid = headGrid(table, (chosenLayer, chosenHead) => {
    [layer.value, head.value] = [String(chosenLayer), String(chosenHead)];
    show();
  });
  const show = () => {
    const [l, h] = [Number(layer.value), Number(head.value)];
    const query = Math.min(choice.position, table.shape.rows - 1);
    const weights = weightsOf(table, l, h, query);
    colour(boxes, weights, query);
    const isNear = byId('attention').contains(document.activeElement); // elsewhere the bar says what is chosen
    byId('looking').setAttribute('aria-live', isNear ? 'polite' : 'off');
    byId('looking').textContent = sentence(run, choice.position, query, l, h, weights);
    grid.mark(l, h);
    showTable(run, weights);
  };
  byId('weights').addEventListener('toggle', show);
  layer.addEventListener('change', show);
  head.addEventListener('change', show);
  choice.onChange(show);
}

function selectOf(id: string, count: number): HTMLSelectElement {
  const select = byId<HTMLSelectElement>(id);
  const options = Array.from({ length: count }, (_, i) => new Option(String(i), String(i)));
  select.replaceChildren(new Option('mean of all', String(MEAN), true, true), ...options);
  return select;
}

/** The weights of one head, or the mean of those that are asked for. */
function weightsOf(table: AttentionTable, layer: number, head: number, query: number): Weights {
  const { layers, heads } = table.shape;
  const which = (chosen: number, all: number) =>
    chosen === MEAN ? Array.from({ length: all }, (_, i) => i) : [chosen];
  const [chosenLayers, chosenHeads] = [which(layer, layers), which(head, heads)];
  const shares = new Float64Array(Math.max(0, query + 1));
  const whole = WHOLE * chosenLayers.length * chosenHeads.length;
  let sum = 0;
  for (const l of chosenLayers) {
    for (const h of chosenHeads) {
      table.forEach(l, h, query, (position, weight) => {
        shares[position] = (shares[position] as number) + weight / whole;
        sum += weight;
      });
    }
  }
  return { shares, rest: (whole - sum) / whole };
}

function stepOf(share: number): number {
  return share > 0 ? Math.max(1, Math.ceil(STEPS * Math.sqrt(share))) : 0;
}

function colour(boxes: readonly HTMLElement[], { shares }: Weights, query: number): void {
  boxes.forEach((box, position) => {
    const step = position > query ? 'later' : `h${Math.min(STEPS, stepOf(shares[position] as number))}`;
    const name = `token ${step}${position === query ? ' looks' : ''}`;
    if (box.className !== name) {
      box.className = name;
    }
  });
}

function heatLegend(): HTMLElement[] {
  return [0, 1, 2, 3, 4, 5, 6, 7, 8].map((step) => {
    const words = step === 0 ? 'nothing' : `to ${percent((step / STEPS) ** 2)}`;
    return make('li', '', make('span', `swatch h${step}`), words);
  });
}

function sentence(run: PageData, chosen: number, query: number, l: number, h: number, { shares }: Weights): string {
  const newest = chosen > query ? `The newest token was never run. The one before it, ` : '';
  const where = `${l === MEAN ? 'in the mean of all layers' : `in layer ${l}`}, ${h === MEAN ? 'mean of all heads' : `head ${h}`}`;
  const most = [...shares.keys()].sort((a, b) => (shares[b] as number) - (shares[a] as number)).slice(0, NAMED);
  const named = most
    .filter((position) => (shares[position] as number) > 0)
    .map((position) => `${tokenName(run, position)} at ${position} (${percent(shares[position] as number)})`);
  return `${newest}${tokenName(run, query)} at ${query}, ${where}, looks most at ${named.join(', ')}.`;
}

/** Only of an open table, the largest weights first. */
function showTable(run: PageData, { shares, rest }: Weights): void {
  const details = byId<HTMLDetailsElement>('weights');
  if (!details.open) {
    return;
  }
  const order = [...shares.keys()].sort((a, b) => (shares[b] as number) - (shares[a] as number));
  const rows = order.map((position) =>
    row(
      String(position),
      piecesElement(tokenPieces(run.tokens[position] as PageData['tokens'][number], LONGEST)),
      weight(shares[position] as number),
    ),
  );
  const other = rest > 0 ? [row('others', 'of this row, together', weight(rest))] : [];
  const head = make('tr', '', ...['Position', 'Token', 'Weight'].map((title) => make('th', '', title)));
  const table = make('table', '', make('thead', '', head), make('tbody', '', ...rows, ...other));
  details.querySelector('.scroll')?.replaceChildren(table);
}

function weight(share: number): HTMLElement {
  const element = number({ words: share.toFixed(4), exact: String(share) });
  element.dataset.weight = String(share);
  return element;
}
