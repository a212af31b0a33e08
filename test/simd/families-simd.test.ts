import { testFamilies } from '../support/families.js';

testFamilies('simd', 'simd');
