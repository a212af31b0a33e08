import { goldenNames } from '../support/golden.js';
import { testParity } from '../support/parity.js';

testParity('simd', goldenNames(), 'simd');
