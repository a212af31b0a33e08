import { testAttention } from '../support/attention.js';

testAttention('node');
