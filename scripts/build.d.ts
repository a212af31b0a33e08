/** Builds dist/ when it is stale; throws when the compiler fails. */
export function build(options: { log: (line: string) => void; force?: boolean }): Promise<void>;
