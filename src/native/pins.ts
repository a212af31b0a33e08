// Pins what is installed: the tfjs-node package and, for each platform, the TensorFlow wheel whose two shared libraries
// replace tfjs-node's own download. Sizes (in bytes) and hashes are those of the published files. A new version changes only
// this file. Knows nothing of how the files are fetched.

export const TFJS_NODE = {
  name: '@tensorflow/tfjs-node',
  version: '4.22.0',
  integrity: 'sha512-uHrXeUlfgkMxTZqHkESSV7zSdKdV0LlsBeblqkuKU9nnfxB1pC6DtoyYVaLxznzZy7WQSegjcohxxCjAf6Dc7w==',
} as const;

/** The Node-API version of the binding: the newest that tfjs-node knows. Every Node from 20 on has it. */
export const NAPI_VERSION = 8;

export interface Wheel {
  readonly project: string;
  readonly version: string;
  /** The value of pip's `--platform`. Any Python can fetch the wheel, because `--python-version` is given too. */
  readonly tag: string;
  readonly size: number;
  readonly sha256: string;
  /** Each library's name in the folder `tensorflow/`, and its size when unpacked. */
  readonly libraries: readonly { readonly name: string; readonly size: number }[];
}

function libraries(ending: 'so.2' | '2.dylib', size: number, frameworkSize: number): Wheel['libraries'] {
  return [
    { name: `libtensorflow_cc.${ending}`, size },
    { name: `libtensorflow_framework.${ending}`, size: frameworkSize },
  ];
}

const WHEELS: Readonly<Record<string, Wheel>> = {
  'linux-x64': {
    project: 'tensorflow-cpu',
    version: '2.13.1',
    tag: 'manylinux2014_x86_64',
    size: 186594601,
    sha256: '87be6e61314b2c0fa062f71e26e41d6a17e162ffe4da72c820fe8f1fc94d97fe',
    libraries: libraries('so.2', 516698128, 44078920),
  },
  'linux-arm64': {
    project: 'tensorflow',
    version: '2.16.2',
    tag: 'manylinux2014_aarch64',
    size: 218904025,
    sha256: '8728b12bc86941d90d0a927c40d4b21f8820964a80439a7c45f850eb37d57067',
    libraries: libraries('so.2', 659635336, 51872712),
  },
  'darwin-arm64': {
    project: 'tensorflow',
    version: '2.16.2',
    tag: 'macosx_12_0_arm64',
    size: 227025342,
    sha256: '2c8a0e79395639b762e62002db99b2f6cc608f744312c9940899c1128f325331',
    libraries: libraries('2.dylib', 575417888, 39135036),
  },
  'darwin-x64': {
    project: 'tensorflow',
    version: '2.16.2',
    tag: 'macosx_12_0_x86_64',
    size: 259588062,
    sha256: 'ec06570d57bfa0e2be804405e3cdc2960e94887e7619ffb6bc053e9775b695aa',
    libraries: libraries('2.dylib', 693487352, 41901296),
  },
};

/** Returns undefined for a platform on which no wheel has the libraries. */
export function wheelFor(platform: string): Wheel | undefined {
  return WHEELS[platform];
}

/** `linux-x64`, `darwin-arm64` and so on. A Linux without glibc, such as Alpine, ends in `-musl` and has no wheel. */
export function platformName(): string {
  const name = `${process.platform}-${process.arch}`;
  return process.platform === 'linux' && !hasGlibc() ? `${name}-musl` : name;
}

function hasGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report === undefined || report.header?.glibcVersionRuntime !== undefined;
}
