import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/global-setup.ts',
    reporters: ['default', './test/plain-summary.ts'],
    pool: 'forks', // a native addon per file, in a process of its own
    maxWorkers: 2,
    testTimeout: 60_000,
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'text'] },
  },
});
