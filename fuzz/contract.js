// What every run of kvgen must hold to, whatever it is given: docs and README promise it. Knows nothing of what was run.

const CODES = [0, 1, 2];
/** Of a message, `kvgen: ` before it included. */
const MAX_LINE = 310;
/** What JavaScript says when a program did not think of something. */
const RAW =
  /\b(Type|Range|Syntax|Reference|Internal)Error\b|is not (a function|iterable|defined|a constructor|extensible|an object)|Cannot (read|set|destructure|convert|mix|access|assign|perform)|Maximum call stack|Invalid (array|string|typed array) length|[Aa]llocation failed|out of (memory|bounds)|\[object |JavaScript heap|ERR_[A-Z_]+|UnhandledPromise|\(node:\d+\)|^\s+at .+[:)]\d*/m;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

/**
 * @typedef {object} Ended how a run has ended
 * @property {number | string | undefined} code undefined: it never said
 * @property {string} stdout
 * @property {string} stderr
 */

/**
 * @param {Ended} ended
 * @param {readonly number[]} codes the exit codes that are right here
 * @returns {string[]} what is wrong, a line each
 */
export function breaches({ code, stderr }, codes = CODES) {
  const found = codes.includes(/** @type {number} */ (code)) ? [] : [`exit code ${code}`];
  const lines = stderr.split('\n');
  if (lines.pop() !== '') {
    found.push(`stderr does not end in a newline: ${short(stderr)}`);
  }
  for (const line of lines) {
    found.push(...messageBreaches(line).map((what) => `stderr: ${what}`));
    if (CONTROLS.test(line)) {
      found.push(`stderr: a control character: ${short(line)}`);
    }
    if (line.length > MAX_LINE) {
      found.push(`stderr: a line of ${line.length} characters: ${short(line)}`);
    }
  }
  if ([1, 2].includes(/** @type {number} */ (code)) && !lines.some((line) => line.startsWith('kvgen: '))) {
    found.push(`exit code ${code} without a word`);
  }
  return found;
}

/** @param {string} message one line @returns {string[]} */
export function messageBreaches(message) {
  return [
    ...(RAW.test(message) ? [`JavaScript's own words: ${short(message)}`] : []),
    ...(/[\r\n]/.test(message) ? [`more than one line: ${short(message)}`] : []),
  ];
}

/**
 * The objects of a JSON output, one a line.
 * @param {string} stdout
 * @returns {{ objects: any[], wrong: string[] }}
 */
export function readObjects(stdout) {
  const lines = stdout.split('\n');
  const wrong = lines.pop() === '' ? [] : [`stdout does not end in a newline: ${short(stdout)}`];
  const objects = [];
  for (const line of lines) {
    try {
      objects.push(JSON.parse(line));
    } catch {
      wrong.push(`stdout: not JSON: ${short(line)}`);
    }
    if (CONTROLS.test(line)) {
      wrong.push(`stdout: a control character in JSON: ${short(line)}`);
    }
  }
  return { objects, wrong };
}

/** What a text of a model may not be: numbers that are none. JSON writes them as null. @param {any} object of --json */
export function numberBreaches(object) {
  const logprobs = [...(object.tokens ?? []), ...(object.prompt_tokens_detail ?? []).slice(1)].map(
    ({ logprob }) => logprob,
  );
  const wrong = logprobs.filter((x) => typeof x !== 'number' || x > 1e-6);
  return wrong.length > 0 ? [`logprob ${wrong[0]} of a token`] : [];
}

/** @param {string} text */
export function short(text) {
  return JSON.stringify(text.length > 400 ? `${text.slice(0, 300)} … ${text.slice(-80)}` : text);
}
