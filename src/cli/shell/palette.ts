// The colours of tokens and curves. Four, since more cannot all be told apart by everybody: each pair differs for people who
// see no red, no green or no blue (Machado, Oliveira, Fernandes 2009), and each can be read on white and on black. They
// colour what is written, never what lies behind it. Knows nothing of streams or of what is coloured.

import type { Terminal } from './terminal.js';

type Chalk = Terminal['chalk'];
type Style = 'blueBright' | 'gray' | 'redBright' | 'underline';

/** One colour as terminals have it: of 24 bits, of 256, of 16. */
export interface Color {
  readonly name: string;
  readonly hex: string;
  readonly ansi256: number;
  /** Sixteen are too few for four such colours, so the last one is underlined. */
  readonly basic: readonly Style[];
  readonly basicName: string;
}

const BLUE: Color = { name: 'blue', hex: '#3078fc', ansi256: 27, basic: ['blueBright'], basicName: 'blue' };
const GREY: Color = { name: 'grey', hex: '#78786c', ansi256: 243, basic: ['gray'], basicName: 'grey' };
const BROWN: Color = { name: 'brown', hex: '#a87800', ansi256: 136, basic: ['redBright'], basicName: 'red' };
const PINK: Color = {
  name: 'pink',
  hex: '#d43cb0',
  ansi256: 163,
  basic: ['redBright', 'underline'],
  basicName: 'red underlined',
};

/** From likely to unlikely. */
export const SCALE: readonly { readonly atLeast: number; readonly color: Color }[] = [
  { atLeast: 0.5, color: BLUE },
  { atLeast: 0.1, color: GREY },
  { atLeast: 0.01, color: BROWN },
  { atLeast: 0, color: PINK },
];

/** In an order in which neighbours differ most. */
const NEIGHBOURS = [BLUE, BROWN, GREY, PINK] as const;

export function colorOfProbability(probability: number): Color {
  return (SCALE.find(({ atLeast }) => probability >= atLeast) ?? { color: PINK }).color;
}

/** The colour of a token or a curve at its place among others. */
export function colorOfPlace(index: number): Color {
  return NEIGHBOURS[index % NEIGHBOURS.length] as Color;
}

/** Writes in a colour, as good as the terminal has it. */
export function ink({ hex, ansi256, basic }: Color, chalk: Chalk): Chalk {
  if (chalk.level >= 3) {
    return chalk.hex(hex);
  }
  return chalk.level === 2 ? chalk.ansi256(ansi256) : basic.reduce((styled, style) => styled[style], chalk);
}

/** What people call the colour that `ink` writes in. */
export function colorName({ name, basicName }: Color, chalk: Chalk): string {
  return chalk.level === 1 ? basicName : name;
}
