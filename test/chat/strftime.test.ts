// Dates in templates. The values: `datetime.strftime` of Python 3.11.

import { expect, it } from 'vitest';
import { strftime } from '../../src/chat/strftime.js';

const CODES = 'a A b B c d D e f F h H I j m M p R S T u U w W x X y Y z Z %'.split(' ').map((code) => `%${code}`);
const FORMAT = `${CODES.join('|')}|%-d|%-m|%-I|%Q`;

it.each([
  [
    new Date(2025, 10, 25, 8, 30),
    'Tue|Tuesday|Nov|November|Tue Nov 25 08:30:00 2025|25|11/25/25|25|000000|2025-11-25|Nov|08|08|329|11|30|AM|08:30|00|08:30:00|2|47|2|47|11/25/25|08:30:00|25|2025|||%|25|11|8|%Q',
  ],
  [
    new Date(2024, 1, 29, 0, 5, 7, 123),
    'Thu|Thursday|Feb|February|Thu Feb 29 00:05:07 2024|29|02/29/24|29|123000|2024-02-29|Feb|00|12|060|02|05|AM|00:05|07|00:05:07|4|08|4|09|02/29/24|00:05:07|24|2024|||%|29|2|12|%Q',
  ],
  [
    new Date(2028, 11, 31, 12),
    'Sun|Sunday|Dec|December|Sun Dec 31 12:00:00 2028|31|12/31/28|31|000000|2028-12-31|Dec|12|12|366|12|00|PM|12:00|00|12:00:00|7|53|0|52|12/31/28|12:00:00|28|2028|||%|31|12|12|%Q',
  ],
  [
    new Date(2023, 0, 1, 13, 59, 59),
    'Sun|Sunday|Jan|January|Sun Jan  1 13:59:59 2023|01|01/01/23| 1|000000|2023-01-01|Jan|13|01|001|01|59|PM|13:59|59|13:59:59|7|01|0|00|01/01/23|13:59:59|23|2023|||%|1|1|1|%Q',
  ],
])('%s', (date, expected) => {
  expect(strftime(date, FORMAT)).toBe(expected);
});
