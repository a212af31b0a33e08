import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prepareStops, StopMatcher } from '../../src/text/stop.js';
import { expectFailure } from '../support/errors.js';

/** What each piece releases, then what finish does; '!' after the piece that stops. */
function run(stops: string[], pieces: string[]): string[] {
  const matcher = new StopMatcher(stops);
  const released = pieces.map((piece) => {
    const { text, stopped } = matcher.push(piece);
    return stopped ? `${text}!` : text;
  });
  return [...released, matcher.finish()];
}

/** Unit by unit, with endsWith: the definition. */
function naive(stops: string[], text: string): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const seen = text.slice(0, end);
    const matched = stops.filter((stop) => seen.endsWith(stop)).map((stop) => stop.length);
    if (matched.length > 0) {
      return { text: seen.slice(0, end - Math.max(...matched)), stopped: true };
    }
  }
  return { text, stopped: false };
}

describe('StopMatcher', () => {
  it.each([
    ['nothing to match', [], ['abc', ''], ['abc', '', '']],
    ['inside one piece', ['END'], ['one END two'], ['one !', '']],
    ['at the start', ['END'], ['END'], ['!', '']],
    ['over three pieces', ['\n\n'], ['a', '\n', '\nb'], ['a', '', '!', '']],
    ['held, then released', ['abc'], ['xab', 'd'], ['x', 'abd', '']],
    ['held to the end', ['abc'], ['xab'], ['x', 'ab']],
    ['only the longest suffix is held', ['aab'], ['aaa', 'a', 'b'], ['a', 'a', '!', '']],
    ['after a false start', ['abac'], ['aba', 'bac'], ['', 'ab!', '']],
    ['the match that completes first wins', ['ab', 'xabc'], ['xab', 'c'], ['x!', '!', '']],
    ['a longer candidate that fails hides no match within it', ['abcd', 'bc'], ['ab', 'c'], ['', 'a!', '']],
    ['of two that end together the longer', ['b', 'ab'], ['xab'], ['x!', '']],
    ['nothing comes after the match', ['.'], ['a.b', 'c'], ['a!', '!', '']],
    ['beyond the basic plane', ['🙂🙂'], ['a🙂', '🙃', '🙂🙂'], ['a', '🙂🙃', '!', '']],
  ])('%s', (_, stops, pieces, released) => {
    expect(run(stops, pieces)).toEqual(released);
  });

  it('equals the definition however the text is cut, and holds only what may still match', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    const stops = fc.array(
      letters.filter((stop) => stop !== ''),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(stops, fc.array(letters), (stopStrings, pieces) => {
        const matcher = new StopMatcher(stopStrings);
        let seen = '';
        let released = '';
        for (const piece of pieces) {
          seen += piece;
          const expected = naive(stopStrings, seen);
          const { text, stopped } = matcher.push(piece);
          released += text;
          expect(stopped).toBe(expected.stopped);
          if (stopped) {
            expect(released + matcher.finish()).toBe(expected.text);
            return;
          }
          const held = stopStrings.flatMap((s) => [...s].map((__, n) => s.slice(0, n)).filter((p) => seen.endsWith(p)));
          expect(released).toBe(seen.slice(0, seen.length - Math.max(0, ...held.map((p) => p.length))));
        }
        expect(released + matcher.finish()).toBe(seen);
      }),
      { numRuns: 1000 },
    );
  });

  it('comes to an end on the worst stop string: going back on each character would not', () => {
    const matcher = new StopMatcher([`${'a'.repeat(50_000)}b`]);
    const { text } = matcher.push('a'.repeat(1_000_000));
    expect(text).toHaveLength(950_000);
  });
});

describe('many stop strings', () => {
  const stops = Array.from({ length: 10_000 }, (_, i) => `<${i}>`);

  it('are prepared in portions, between which a signal is seen', async () => {
    const stop = new AbortController();
    setImmediate(() => stop.abort(new Error('enough')));
    await expect(prepareStops(stops, stop.signal)).rejects.toThrow('enough');
    await prepareStops(stops);
    expect(new StopMatcher(stops).push('a <10000> <9999> b')).toEqual({ text: 'a <10000> ', stopped: true });
  });

  it('are refused where they would fill the memory', async () => {
    const message = 'the stop strings have 4194306 characters in all; give 4194304 or fewer';
    await expectFailure(() => prepareStops(['a'.repeat(2 ** 22), 'bc']), message);
    await expectFailure(() => new StopMatcher(['a'.repeat(2 ** 22), 'bc']), message);
  });
});
