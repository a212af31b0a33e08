import { testParity } from '../support/parity.js';

testParity('wasm', ['gpt2-micro', 'gelu', 'quick_gelu', 'both-scales', 'one-head', 'bf16-single']);
