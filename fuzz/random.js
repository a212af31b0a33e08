// Random choices that depend on a seed and the number of a case alone, so that any case can be had again by itself.

export class Random {
  #state;

  /**
   * @param {number} seed
   * @param {number} n which of the seed's sequences
   */
  constructor(seed, n) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(n + 1, 0x85ebca6b)) >>> 0;
    this.next(); // neighbouring seeds begin alike
  }

  /** A whole number of 32 bits. Reference: Tommy Ettinger's Mulberry32. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** @param {number} n @returns 0 … n − 1; 0 for n = 0 */
  below(n) {
    return n <= 0 ? 0 : Math.floor((this.next() / 2 ** 32) * n);
  }

  /** @param {number} min @param {number} max both included */
  between(min, max) {
    return min + this.below(max - min + 1);
  }

  /** @param {number} share 0 … 1 */
  chance(share) {
    return this.next() / 2 ** 32 < share;
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return /** @type {T} */ (list[this.below(list.length)]);
  }

  /** Several, maybe some of them twice. @template T @param {readonly T[]} list @param {number} most */
  some(list, most) {
    return Array.from({ length: this.between(1, most) }, () => this.pick(list));
  }

  /** @param {number} length */
  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
