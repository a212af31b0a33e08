// Dates as templates ask for them: `strftime_now` of transformers, which is Python's `strftime` in English, whatever the language of
// this machine. Knows nothing of templates.
// Reference: https://docs.python.org/3/library/datetime.html#format-codes

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const DAY_MS = 24 * 60 * 60 * 1000;

const pad = (n: number, width = 2, with_ = '0') => String(n).padStart(width, with_);
const twelve = (date: Date) => date.getHours() % 12 || 12;
const dayName = (date: Date) => DAYS[date.getDay()] as string;
const monthName = (date: Date) => MONTHS[date.getMonth()] as string;
const inYear = (date: Date) => Math.floor((dayNumber(date) - dayNumber(new Date(date.getFullYear(), 0, 1))) / DAY_MS);

/** Midnight in UTC of the day that it is here: summer time makes no day shorter. */
function dayNumber(date: Date): number {
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
}

const CODES: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => dayName(date).slice(0, 3),
  A: dayName,
  b: (date) => monthName(date).slice(0, 3),
  B: monthName,
  c: (date) => strftime(date, '%a %b %e %H:%M:%S %Y'),
  d: (date) => pad(date.getDate()),
  D: (date) => strftime(date, '%m/%d/%y'),
  e: (date) => pad(date.getDate(), 2, ' '),
  f: (date) => pad(1000 * date.getMilliseconds(), 6),
  F: (date) => strftime(date, '%Y-%m-%d'),
  h: (date) => monthName(date).slice(0, 3),
  H: (date) => pad(date.getHours()),
  I: (date) => pad(twelve(date)),
  j: (date) => pad(inYear(date) + 1, 3),
  m: (date) => pad(date.getMonth() + 1),
  M: (date) => pad(date.getMinutes()),
  n: () => '\n',
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  R: (date) => strftime(date, '%H:%M'),
  S: (date) => pad(date.getSeconds()),
  t: () => '\t',
  T: (date) => strftime(date, '%H:%M:%S'),
  u: (date) => String(date.getDay() || 7),
  U: (date) => pad(Math.floor((inYear(date) + 7 - date.getDay()) / 7)),
  w: (date) => String(date.getDay()),
  W: (date) => pad(Math.floor((inYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7)),
  x: (date) => strftime(date, '%m/%d/%y'),
  X: (date) => strftime(date, '%H:%M:%S'),
  y: (date) => pad(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  z: () => '', // the time has no zone there
  Z: () => '',
  '%': () => '%',
};

/** A code that is none stays as it is; `%-d` is `%d` without zeros before it. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, dash: string, code: string) => {
    const text = CODES[code]?.(date);
    return text === undefined ? whole : dash === '' ? text : text.replace(/^[0 ]+(?=.)/, '');
  });
}
