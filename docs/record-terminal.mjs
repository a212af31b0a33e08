// Records the picture at the top of the README: runs commands on a terminal of 24-bit colours, notes what comes when, and
// writes docs/terminal.svg, in which everything appears at its time. What the terminal shows is all from the runs; only the
// lines `$ kvgen …` are set before them. Needs python3 for the terminal.
//
//     npm run build && node docs/record-terminal.mjs

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const COLUMNS = 112;
const PROMPT = 'Once upon a time';
const RUNS = [
  ['--color-by-probability', '--seed', '16', '-n', '200', PROMPT],
  ['--color-by-probability', '--seed', '16', '-n', '200', '--no-cache', PROMPT],
];

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What the terminal got, piece by piece. CI: without a spinner, whose every turn would be a picture of its own. */
function record(args) {
  const argv = [process.execPath, here('../bin/kvgen.js'), ...args];
  const request = JSON.stringify({ argv, terminal: ['stdin', 'stdout', 'stderr'], columns: COLUMNS, moments: true });
  const env = { ...process.env, CI: '1', FORCE_COLOR: '3' };
  delete env.NO_COLOR;
  const { code, moments } = JSON.parse(execFileSync('python3', [here('../test/cli/on-terminal.py'), request], { env }));
  if (code !== 0) {
    throw new Error(`kvgen ${args.join(' ')}: exit code ${code}`);
  }
  const decoder = new TextDecoder();
  return moments.map(([seconds, bytes]) => [seconds, decoder.decode(Buffer.from(bytes, 'latin1'), { stream: true })]);
}

/** Pieces of lines: where each stands, how it looks, when it comes. */
class Screen {
  pieces = [];
  row = 0;
  #column = 0;
  #style = {};

  /** @throws for what this terminal cannot do, so that nothing is left out without a word */
  write(text, seconds) {
    for (const [part] of text.replaceAll('\u001b', '␛').matchAll(/␛\[[\d;]*[A-Za-z]|\r?\n|[^␛\r\n]+|./gsu)) {
      if (part.endsWith('\n')) {
        this.row++;
        this.#column = 0;
      } else if (part.startsWith('␛[') && part.endsWith('m')) {
        this.#setStyle(part.slice(2, -1));
      } else if (/^[\u0020-\u007e\u00a0-\u23ff]+$/.test(part)) {
        this.#put(part, seconds);
      } else {
        throw new Error(`${JSON.stringify(part)}: not drawn by docs/record-terminal.mjs`);
      }
    }
  }

  #setStyle(codes) {
    const [, hex] = /^38;2;([\d;]+)$/.exec(codes) ?? [];
    if (hex !== undefined) {
      const channels = hex.split(';').map((channel) => Number(channel).toString(16).padStart(2, '0'));
      this.#style = { color: `#${channels.join('')}` };
    } else if (codes === '2') {
      this.#style = { dim: true };
    } else if (codes === '39' || codes === '22') {
      this.#style = {};
    } else {
      throw new Error(`colour ${codes}: not drawn by docs/record-terminal.mjs`);
    }
  }

  /** A line that is full goes on in the next one. */
  #put(text, seconds) {
    for (let rest = text; rest !== ''; ) {
      if (this.#column === COLUMNS) {
        this.row++;
        this.#column = 0;
      }
      const now = rest.slice(0, COLUMNS - this.#column);
      this.pieces.push({ row: this.row, column: this.#column, text: now, seconds, ...this.#style });
      this.#column += now.length;
      rest = rest.slice(now.length);
    }
  }
}

const [CHARACTER, LINE, MARGIN, BAR] = [7.8, 18, 14, 26];

function drawing(screen, title) {
  const [width, height] = [2 * MARGIN + COLUMNS * CHARACTER, BAR + (screen.row + 1) * LINE + MARGIN].map(Math.ceil);
  const rows = Array.from({ length: screen.row + 1 }, (_, row) => screen.pieces.filter((piece) => piece.row === row));
  const texts = rows.map((pieces, row) => {
    const y = BAR + (row + 1) * LINE - 4;
    return `<text y="${y}" xml:space="preserve">${pieces.map(tspan).join('')}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${escaped(title)}</title>
<style>
svg { --back: #fbfbfa; --fore: #24292f; --dim: #656d76; --edge: #d0d7de }
@media (prefers-color-scheme: dark) { svg { --back: #16181d; --fore: #d7dbe0; --dim: #8b949e; --edge: #383d45 } }
rect { fill: var(--back); stroke: var(--edge) }
circle { fill: var(--edge) }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: var(--fore); white-space: pre }
.dim { fill: var(--dim) }
@media (prefers-reduced-motion: no-preference) { tspan[style] { animation: appear 1ms both } }
@keyframes appear { from { fill-opacity: .13 } to { fill-opacity: 1 } }
</style>
<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
${[0, 1, 2].map((i) => `<circle cx="${MARGIN + 5 + 16 * i}" cy="14" r="5"/>`).join('')}
${texts.join('\n')}
</svg>
`;
}

/** Faint until its time, so that a still of any moment shows what it is about. Its width is given too: fonts differ, and then what follows still stands where it should. */
function tspan({ column, text, seconds, color, dim }) {
  const place = `x="${round(MARGIN + column * CHARACTER)}" textLength="${round(text.length * CHARACTER)}"`;
  const look = `${color === undefined ? '' : ` fill="${color}"`}${dim ? ' class="dim"' : ''}`;
  const time = seconds > 0 ? ` style="animation-delay:${seconds.toFixed(2)}s"` : '';
  return `<tspan ${place}${look}${time}>${escaped(text)}</tspan>`;
}

const round = (n) => Number(n.toFixed(1));
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text) => text.replace(/[&<>"]/g, (character) => ESCAPES[character]);
const quoted = (word) => (/^[\w-]+$/.test(word) ? word : `"${word}"`);

/** Seconds that a command stands there before its first byte comes, and between two commands. */
const [TYPED, PAUSE] = [0.8, 1.6];

const screen = new Screen();
let start = 0;
for (const args of RUNS) {
  screen.write(`$ kvgen ${args.map(quoted).join(' ')}\n`, start);
  const moments = record(args);
  const [first] = moments[0];
  for (const [seconds, text] of moments) {
    screen.write(text, start + TYPED + seconds - first);
  }
  start += TYPED + moments.at(-1)[0] - first + PAUSE;
}
screen.write('$ ', start);
const svg = drawing(
  screen,
  'kvgen writes a story, each token in the colour of its probability; then once more with --no-cache, slower.',
);
writeFileSync(here('terminal.svg'), svg);
console.log(`docs/terminal.svg: ${svg.length} bytes, ${(start + 1).toFixed(1)} s`);
