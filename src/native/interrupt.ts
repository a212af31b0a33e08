// Ctrl-C and SIGTERM as an AbortSignal, for as long as some work lasts: the work unwinds through its own
// `finally` blocks, so that children end and temporary folders go.

const NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof NUMBERS;

/** The result of the work, or the exit status 128 + n when signal n interrupted it. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | number> {
  const controller = new AbortController();
  let caught: Signal | undefined;
  const onSignal = (name: Signal) => {
    caught ??= name;
    controller.abort(new Error('interrupted'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (caught !== undefined) {
      return 128 + NUMBERS[caught];
    }
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
