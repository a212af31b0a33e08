import { testFamilies } from '../support/families.js';

testFamilies('cpu', 'eager', ['llama-gqa-bos', 'qwen3', 'gpt-neox', 'gpt-neo-local']);
