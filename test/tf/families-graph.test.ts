import { testFamilies } from '../support/families.js';

testFamilies('node', 'graph');
