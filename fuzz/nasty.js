// Values that programs stumble over: the dictionary of the mutations.

const DEEP = 5000;

/** As JSON.parse gives them. */
// biome-ignore format: many small things
export const VALUES = [
  null, true, false, 0, -1, 1, 2, 1.5, -0.5, 1e-300, 1e308, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e21,
  '', ' ', '0', '1', '-1', 'true', 'null', 'NaN', '__proto__', 'constructor', 'toString', '../x', '/dev/zero', '.', '..',
  'a\nb', 'a\u0000b', '\u007f\u009b31m\u001b[31m', '\ud800', '\ufeff', '€👍\u0301', 'x'.repeat(70_000),
  [], [null], [[]], [0], {}, { a: 1 }, { length: 3 }, { content: 'x' }, { Regex: '(a+)+$' }, { Regex: '(' }, { String: '' },
];

/** As they are written: what JSON.stringify would never write. */
// biome-ignore format: many small things
export const JSON_TEXTS = [
  '1e999', '-1e999', '-0', '1e-999', '123456789012345678901234567890', `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`,
  `${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`, '{"a":1,"a":2}', '{"__proto__":{"x":1}}', '"\\ud800"', '"\\u0000"', '[1,]', 'NaN',
  'undefined', '// x', "'x'", '', '}', '{', '"',
];

/** Texts to tokenize, to stop at, to give as an argument. */
// biome-ignore format: many small things
export const TEXTS = [
  'Once upon a time', '', ' ', '\n', '\n\n\n', 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '\u0000', '\u007f',
  '\u0085\u00a0\u2028\u2029\ufeff', '\ud83d', '👍🏽 é e\u0301 ß ﬁ', 'İıſK', '<|endoftext|>', '<|endoftext|> <|endoftext|', '日本語 テスト',
  '-', '--', '-1', '--help', "'s 'S I'll", '1234567890', '\t\t x', 'x'.repeat(3000), '٠١٢', '\u001b[31m', 'a|b|c', '$(x) `y`',
];

/** What may be written as a number. */
// biome-ignore format: many small things
export const NUMBERS = [
  '0', '-0', '1', '-1', '2', '3', '7', '40', '0.5', '1.5', '.5', '5.', '1e3', '1e-9', '1e400', '-1e400', 'NaN', 'Infinity', '-Infinity',
  '0x10', ' 1', '1 ', '', '１', '1_000', '+1', '9007199254740991', '9007199254740992', '4294967296', '-2147483649',
  '999999999999999999999999', '00', '1,2', '١',
];
