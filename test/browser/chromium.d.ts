import type { Browser } from 'playwright-core';

/** Starts the browser without a window. Its caller closes it. */
export function launchChromium(): Promise<Browser>;
export function chromiumPath(): string;
