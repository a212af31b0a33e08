import { testParity } from '../support/parity.js';

testParity('cpu', ['gelu', 'silu', 'untied', 'inverse-layer-idx', 'fp16-sharded']);
