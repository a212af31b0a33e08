// Kinds of cases with planted faults, one after the other, for the test of what watches them.

export async function prepare() {}

const FAULTS = [
  async () => ({ wrong: [] }),
  async () => ({ wrong: ['told'] }),
  async () => {
    throw new TypeError('x is not iterable');
  },
  () => {
    for (;;) {}
  },
  () => new Promise(() => {}),
  () => process.exit(0),
  async () => {
    Promise.reject(new Error('nobody awaits this'));
    return { wrong: [] };
  },
  async () => ({ wrong: [], refused: true }),
];

export const KINDS = [
  {
    name: 'planted',
    weight: 1,
    run: (_random, _place, tell) => {
      const n = Number(process.cwd().replace(/.*case-/, ''));
      tell(`case ${n}`);
      return FAULTS[n]();
    },
  },
];
