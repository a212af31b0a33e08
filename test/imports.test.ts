// Who may import whom: the rooms and their one-way doors, enforced on every import of src, types included.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** The rooms of docs/architecture.md, first to last: a file imports from its own and from those before it, except what it must not see. */
const ROOMS: readonly { name: string; files: RegExp; neverSees?: RegExp }[] = [
  { name: 'errors', files: /^(errors|exp)\.ts$/ },
  { name: 'settings', files: /^(kinds|backends|settings)\.ts$/ },
  { name: 'files', files: /^files\//, neverSees: /^(kinds|backends|settings)\.ts$/ },
  { name: 'gguf', files: /^gguf\//, neverSees: /^(kinds|backends|settings)\.ts$/ },
  { name: 'native', files: /^native\//, neverSees: /^(kinds|backends|settings)\.ts$/ },
  { name: 'hub', files: /^hub\//, neverSees: /^native\/|^(kinds|backends|settings)\.ts$/ },
  { name: 'text', files: /^text\//, neverSees: /^(native|hub)\/|^(kinds|backends|settings)\.ts$/ },
  { name: 'sampling', files: /^sampling\//, neverSees: /^(files|gguf|native|text)\/|^(kinds|backends|settings)\.ts$/ },
  {
    name: 'model',
    files: /^model\//,
    neverSees: /^(files|gguf|native|text|sampling)\/|^(kinds|backends|settings)\.ts$/,
  },
  { name: 'weights', files: /^weights\//, neverSees: /^(native|text)\/|^(kinds|backends|settings)\.ts$/ },
  {
    name: 'engine',
    files: /^engine\//,
    neverSees: /^(files|gguf|native|text|sampling)\/|^(kinds|backends|settings)\.ts$/,
  },
  { name: 'tf', files: /^tf\//, neverSees: /^(files|gguf|text)\// },
  { name: 'simd', files: /^simd\//, neverSees: /^(files|gguf|tf|text|sampling)\/|^(kinds|backends|settings)\.ts$/ },
  {
    name: 'store',
    files: /^store\//,
    neverSees: /^(tf|simd|text|sampling|model|weights|gguf)\/|^engine\/(engine|kv-cache)\.ts$/,
  },
  {
    name: 'generation',
    files: /^generation\//,
    neverSees: /^(tf|simd|text|weights|native|files|gguf)\/|^(kinds|backends|settings)\.ts$/,
  },
  { name: 'completion', files: /^completion\//, neverSees: /^(tf|simd|store|native|weights|files|gguf)\// },
  { name: 'view', files: /^view\//, neverSees: /^(?!errors|exp|view\/|node:(crypto|fs|zlib)$|uplot$)/ },
  { name: 'remote', files: /^remote\//, neverSees: /^(tf|simd|store|native|hub|weights|gguf|chat|view)\// },
  { name: 'chat', files: /^chat\//, neverSees: /^(tf|simd|store|native|hub|weights|view)\// },
  { name: 'library', files: /^library\/|^index\.ts$/, neverSees: /^store\// },
  {
    name: 'server',
    files: /^server\//,
    neverSees: /^(tf|simd|view|remote|native|hub|weights|gguf|store)\/|^index\.ts$/,
  },
  { name: 'cli', files: /^cli\//, neverSees: /^index\.ts$/ },
];

/** Packages that only some files may name. */
const PACKAGES: readonly { name: RegExp; allowed: RegExp }[] = [
  { name: /^@tensorflow\//, allowed: /^tf\// },
  { name: /^commander$/, allowed: /^cli\/main\.ts$/ },
  { name: /^(ora|chalk)$/, allowed: /^cli\/shell\/terminal\.ts$/ },
  { name: /^@huggingface\/tokenizers$/, allowed: /^text\// },
  { name: /^eventsource-parser$/, allowed: /^remote\// },
  { name: /^@huggingface\/jinja$/, allowed: /^chat\/template-worker\.ts$/ },
  { name: /^@huggingface\/hub$/, allowed: /^hub\// },
  { name: /^uplot$/, allowed: /^view\/page\// },
  { name: /^(fastify|prom-client)$/, allowed: /^server\// },
  { name: /^buffer-crc32$/, allowed: /^files\/crc32\.ts$/ },
];

interface Import {
  file: string;
  /** A file of src, or the name of a package. */
  target: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts') && !file.startsWith('simd/kernels/')) // those are AssemblyScript
  .sort();

/** The code without its comments, so that prose imports nothing. */
function codeOf(file: string): string {
  return readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/.*$/gm, '');
}

/** Static, re-exported, dynamic, required and in types: whatever names a module. */
function modulesNamedIn(code: string): string[] {
  const patterns = [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require|require\.resolve)\s*\(\s*['"`]([^'"`$]+)['"`]/g,
    /\bcreateRequire\([^)]*\)\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map(([, name]) => name as string));
}

function importsOf(file: string): Import[] {
  return modulesNamedIn(codeOf(file)).map((name) => ({
    file,
    target: name.startsWith('.')
      ? relative(SRC, resolve(SRC, dirname(file), name))
          .replaceAll('\\', '/')
          .replace(/\.js$/, '.ts')
      : name,
  }));
}

const imports = files.flatMap(importsOf);
const placeOf = (file: string) => ROOMS.findIndex((room) => room.files.test(file));
const arrow = ({ file, target }: Import) => `${file} → ${target}`;

describe('the walk itself', () => {
  it('sees static, dynamic, required, re-exported and type-only imports', () => {
    const code = `
      import a from 'a'; import { b,
        c } from "b"; import type { D } from './d.js'; import 'e'; export * from 'f'; export type { G } from 'g';
      const h = await import('h'); type I = import('i').I; const j = require('j'); import * as k from 'k';
      const l = createRequire(import.meta.url)('l');`;
    expect(modulesNamedIn(code).sort()).toEqual(['./d.js', 'a', 'b', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']);
  });

  it('sees the imports of src', () => {
    expect(imports).toContainEqual({ file: 'cli/commands.ts', target: 'cli/generate/generate-command.ts' }); // dynamic
    expect(imports).toContainEqual({ file: 'completion/complete.ts', target: 'engine/engine.ts' }); // a type
    expect(imports).toContainEqual({ file: 'index.ts', target: 'library/model.ts' });
    expect(imports).toContainEqual({ file: 'tf/backend.ts', target: '@tensorflow/tfjs-backend-cpu' });
    expect(imports).toContainEqual({ file: 'tf/tf.ts', target: '@tensorflow/tfjs-core' }); // required
    expect(imports.filter(({ target }) => target.endsWith('.ts') && !files.includes(target))).toEqual([]);
  });
});

describe('rooms', () => {
  it('every file is in exactly one', () => {
    const counts = files.map((file) => [file, ROOMS.filter((room) => room.files.test(file)).length]);
    expect(counts.filter(([, count]) => count !== 1)).toEqual([]);
  });

  it('no file imports from a room further down', () => {
    const wrong = imports.filter(({ file, target }) => placeOf(target) > placeOf(file));
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('no file imports what its room never sees', () => {
    const wrong = imports.filter(({ file, target }) => ROOMS[placeOf(file)]?.neverSees?.test(target));
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('one place opens the TensorFlow engine, and two commands ask it for versions', () => {
    const users = imports.filter(({ file, target }) => target.startsWith('tf/') && !file.startsWith('tf/'));
    expect(users.map(arrow)).toEqual([
      'cli/bench/bench-command.ts → tf/backend.ts',
      'cli/doctor-command.ts → tf/backend.ts',
      'library/model.ts → tf/backend.ts',
    ]);
  });

  it('the library alone opens the WebAssembly engine', () => {
    const users = imports.filter(({ file, target }) => target.startsWith('simd/') && !file.startsWith('simd/'));
    expect([...new Set(users.map(arrow))]).toEqual([
      'library/int8-tensors.ts → simd/export-weights.ts',
      'library/machine.ts → simd/open.ts',
      'library/model.ts → simd/open.ts',
    ]);
  });

  it('no file is in a circle', () => {
    expect(files.filter((file) => reachable(file).has(file))).toEqual([]);
  });

  it('no folder is in a circle', () => {
    const folderOf = (file: string) => (file.includes('/') ? dirname(file) : file);
    const doors = new Map<string, Set<string>>();
    for (const { file, target } of imports.filter(({ target }) => files.includes(target))) {
      const [from, to] = [folderOf(file), folderOf(target)];
      if (from !== to) {
        doors.set(from, (doors.get(from) ?? new Set()).add(to));
      }
    }
    const behind = (from: string, seen = new Set<string>()): Set<string> => {
      for (const to of doors.get(from) ?? []) {
        if (!seen.has(to)) {
          behind(to, seen.add(to));
        }
      }
      return seen;
    };
    expect([...doors.keys()].filter((folder) => behind(folder).has(folder))).toEqual([]);
  });

  it('no two files have the same name', () => {
    const names = files.map((file) => basename(file));
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});

/** All that a file imports, directly or not. Types too: a circle of types is a circle of ideas. */
function reachable(file: string): Set<string> {
  const seen = new Set<string>();
  const visit = (from: string) => {
    for (const { target } of imports.filter((edge) => edge.file === from)) {
      if (!seen.has(target)) {
        seen.add(target);
        visit(target);
      }
    }
  };
  visit(file);
  return seen;
}

describe('packages', () => {
  it.each(PACKAGES)('$name only in $allowed', ({ name, allowed }) => {
    const users = imports.filter(({ target }) => name.test(target));
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter(({ file }) => !allowed.test(file)).map(arrow)).toEqual([]);
  });
});

/** Files that open others to read them. All but those of files/ read what is kvgen's own. */
const READERS = [
  'cli/shell/prompt-input.ts', // the command line, in /proc
  'hub/partial-file.ts', // to write
  'hub/repository-cache.ts', // to copy what was just fetched
  'native/build-binding.ts', // what npm has just unpacked
  'native/package.ts',
  'native/record.ts', // files that were found to be regular ones
  'native/status.ts', // package.json
  'simd/kernels.ts', // kernels.wasm
  'store/files.ts', // a folder that nobody else can write to
  'view/page-files.ts', // the page's bundled script and style
  'weights/write-safetensors.ts', // to write
];

describe('files', () => {
  it('of users and models are opened in one place', () => {
    const reads = /\b(open|openSync|readFile|readFileSync|createReadStream|copyFile|copyFileSync|cp|cpSync)\b/;
    const users = files.filter((file) => {
      const named = [...codeOf(file).matchAll(/import \{([^}]*)\} from 'node:fs(?:\/promises)?'/g)];
      return named.some(([, names = '']) => reads.test(names));
    });
    expect(users.filter((file) => !file.startsWith('files/'))).toEqual(READERS);
  });
});

describe('streams', () => {
  it('only terminal.ts touches process.stdout, stderr and stdin, and nothing logs', () => {
    const users = files.filter((file) =>
      /\bprocess\s*\.\s*std(out|err|in)\b|\bconsole\s*\.|from 'node:process'/.test(withoutTemplates(codeOf(file))),
    );
    expect(users).toEqual(['cli/shell/terminal.ts']);
  });

  it('only the shell ends the process or catches its signals', () => {
    const users = files.filter((file) => /\bprocess\s*\.\s*(exit|on|once)\b/.test(codeOf(file)));
    // the process of a template has no terminal, and outlives a Ctrl-C that is for another
    expect(users.filter((file) => !file.startsWith('cli/'))).toEqual(['chat/template-worker.ts']);
  });
});

/** Without the programs that src hands to other processes as text. */
function withoutTemplates(code: string): string {
  return code.replace(/`[^`]*`/g, '``');
}

/** All that is loaded with a file: no types, and nothing that is imported later, when it is needed. */
function loadedWith(entry: string): Set<string> {
  const seen = new Set<string>();
  const visit = (file: string) => {
    const code = codeOf(file)
      .replace(/\bimport type\b[^;]*;/g, '')
      .replace(/\bimport\s*\([^)]*\)/g, '');
    for (const name of modulesNamedIn(code)) {
      const target = name.startsWith('.')
        ? relative(SRC, resolve(SRC, dirname(file), name)).replace(/\.js$/, '.ts')
        : name;
      if (!seen.has(target)) {
        seen.add(target);
        if (files.includes(target)) {
          visit(target);
        }
      }
    }
  };
  visit(entry);
  return seen;
}

describe('start-up', () => {
  it.each(['cli/main.ts', 'cli/cache/cache-command.ts'])(
    '%s reaches TensorFlow through dynamic imports alone, if at all',
    (entry) => {
      const seen = loadedWith(entry);
      expect([...seen]).toContain(entry === 'cli/main.ts' ? 'commander' : 'store/list.ts');
      expect([...seen].filter((target) => /^@tensorflow\//.test(target))).toEqual([]);
    },
  );

  it.each(['library/model.ts', 'simd/open.ts', 'cli/doctor-command.ts', 'cli/bench/bench-command.ts'])(
    '%s leaves TensorFlow out until a backend needs it',
    (entry) => {
      const seen = [...loadedWith(entry)];
      expect(seen).toContain('errors.ts');
      expect(seen.filter((target) => /^(@tensorflow|tf)\//.test(target))).toEqual([]);
    },
  );

  it('loads of provisioning only what says which engine there is', () => {
    const seen = [...loadedWith('cli/main.ts'), ...loadedWith('cli/generate/generate-command.ts')];
    const loaded = new Set(seen.filter((target) => target.startsWith('native/')));
    expect([...loaded].sort()).toEqual(['native/pins.ts', 'native/status.ts']);
  });
});
