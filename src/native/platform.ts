// The name of this platform as the pins and the cache use it: `linux-x64`, `darwin-arm64`, …; a Linux whose C
// library is not glibc gets `-musl`, for which nobody publishes TensorFlow. Touches no file.

export function platformName(): string {
  const name = `${process.platform}-${process.arch}`;
  return process.platform === 'linux' && !hasGlibc() ? `${name}-musl` : name;
}

function hasGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report === undefined || report.header?.glibcVersionRuntime !== undefined;
}
