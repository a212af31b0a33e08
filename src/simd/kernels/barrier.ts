// Where threads wait for each other: spinning for a while, since the others are nearly always done within microseconds, and
// then sleeping, so that a thread whose core was taken away costs nothing.
//
// The four words at `at`: how many have arrived; the round, which goes up when all have; how many sleep; whether a thread
// has failed. Source: the sense-reversing barrier (Mellor-Crummey and Scott 1991), with a counter in place of the sense.

const ARRIVED: usize = 0;
const ROUND: usize = 4;
const SLEEPERS: usize = 8;
const FAILED: usize = 12;

/** The most loads before a thread sleeps: about 50 microseconds, which is longer than the shares of a product differ. */
const MOST_SPINS = 100000;
/** Every so many waits a thread that has become impatient tries the most again. */
const RETRY = 64;

/**
 * How many loads this thread spends on a wait; each thread has an instance of the module and so its own. Who had to sleep halves
 * it: then another program has the core that the others need, and spinning keeps a second core from them. Who had not, starts anew.
 */
let patience: i32 = MOST_SPINS;
let waits: i32 = 0;

/** A thread that failed wakes the others; this bounds the wait if it could not even do that. */
const NAP_NS: i64 = 50_000_000;

/** @returns false: a thread has failed, and nobody is to go on */
export function barrier(at: usize, threads: i32): bool {
  const round = atomic.load<i32>(at, ROUND);
  if (atomic.add<i32>(at, 1, ARRIVED) == threads - 1) {
    atomic.store<i32>(at, 0, ARRIVED);
    set(at, at + ROUND, round + 1);
  } else {
    waits++;
    const spins = waits % RETRY == 0 ? MOST_SPINS : patience;
    patience = waitWhile(at, at + ROUND, round, spins, NAP_NS) ? MOST_SPINS : patience >> 1;
  }
  return atomic.load<i32>(at, FAILED) == 0;
}

/** Gives a word another value, and wakes those who sleep until it has one. */
export function set(at: usize, word: usize, value: i32): void {
  atomic.store<i32>(word, value);
  if (atomic.load<i32>(at, SLEEPERS) > 0) {
    atomic.notify(word, -1);
  }
}

/** Waits until the word is no longer `value`; after so many loads it sleeps, for as long as it takes. */
export function waitForChange(at: usize, word: usize, value: i32, spins: i32): void {
  waitWhile(at, word, value, spins, -1);
}

/**
 * Waits until the word is no longer `value`, or a thread has failed.
 * @returns whether spinning was enough
 */
function waitWhile(at: usize, word: usize, value: i32, spins: i32, napNs: i64): bool {
  for (let spin = 0; spin < spins; spin++) {
    if (atomic.load<i32>(word) != value) {
      return true;
    }
  }
  atomic.add<i32>(at, 1, SLEEPERS);
  while (atomic.load<i32>(word) == value && atomic.load<i32>(at, FAILED) == 0) {
    atomic.wait<i32>(word, value, napNs);
  }
  atomic.sub<i32>(at, 1, SLEEPERS);
  return false;
}
