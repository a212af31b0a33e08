import { testAttention } from '../support/attention.js';

testAttention('simd', 2);
