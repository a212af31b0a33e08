// Who may import whom: the table of layers, enforced on every import of src, types included.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** Lowest first. A file imports from its own layer and from those it may use. */
const LAYERS: readonly { name: string; files: RegExp; uses: readonly string[] }[] = [
  { name: 'errors, config', files: /^(errors|kinds|settings)\.ts$|^(native|model)\//, uses: [] },
  { name: 'text', files: /^text\//, uses: ['errors, config'] },
  { name: 'sampling', files: /^sampling\//, uses: ['errors, config'] },
  {
    name: 'tensors',
    files: /^(tf|weights|engine|library\/model\.ts|generation\/prefill-chunks\.ts)/,
    uses: ['errors, config', 'sampling'],
  },
  { name: 'store', files: /^store\//, uses: ['errors, config', 'tensors'] },
  {
    name: 'generation',
    files: /^generation\/(?!prefill-chunks)/,
    uses: ['errors, config', 'sampling', 'tensors', 'store'],
  },
  {
    name: 'completion',
    files: /^completion\//,
    uses: ['errors, config', 'text', 'sampling', 'tensors', 'store', 'generation'],
  },
  {
    name: 'library',
    files: /^index\.ts$|^library\/(?!model\.ts)/,
    uses: ['errors, config', 'text', 'sampling', 'tensors', 'store', 'generation', 'completion'],
  },
  {
    name: 'shell',
    files: /^cli\//,
    uses: ['errors, config', 'text', 'sampling', 'tensors', 'store', 'generation', 'completion'],
  },
];

/** Packages that only some files may name. */
const PACKAGES: readonly { name: RegExp; allowed: RegExp }[] = [
  { name: /^@tensorflow\//, allowed: /^(tf|weights|library)\// },
  { name: /^commander$/, allowed: /^cli\/main\.ts$/ },
  { name: /^(ora|chalk)$/, allowed: /^cli\/shell\/terminal\.ts$/ },
  { name: /^@huggingface\/tokenizers$/, allowed: /^text\// },
];

interface Import {
  file: string;
  /** A file of src, or the name of a package. */
  target: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
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
const layerOf = (file: string) => LAYERS.find((layer) => layer.files.test(file));
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
    expect(imports).toContainEqual({ file: 'index.ts', target: 'weights/find.ts' });
    expect(imports).toContainEqual({ file: 'tf/backend.ts', target: '@tensorflow/tfjs-backend-wasm' });
    expect(imports).toContainEqual({ file: 'tf/tf.ts', target: '@tensorflow/tfjs-core' }); // required
    expect(imports.filter(({ target }) => target.endsWith('.ts') && !files.includes(target))).toEqual([]);
  });
});

describe('layers', () => {
  it('every file is in exactly one', () => {
    const counts = files.map((file) => [file, LAYERS.filter((layer) => layer.files.test(file)).length]);
    expect(counts.filter(([, count]) => count !== 1)).toEqual([]);
  });

  it('no file imports from a layer that it may not use', () => {
    const wrong = imports.filter(({ file, target }) => {
      const [from, to] = [layerOf(file), layerOf(target)];
      return to !== undefined && from !== undefined && from !== to && !from.uses.includes(to.name);
    });
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('the table of commands is imported by nothing that it names', () => {
    expect([...reachable('cli/commands.ts')]).toContain('cli/completion-command.ts');
    expect([...reachable('cli/commands.ts')]).not.toContain('cli/commands.ts');
  });

  it('none below the shell goes around in a circle', () => {
    const circles = files.filter((file) => layerOf(file)?.name !== 'shell' && reachable(file).has(file));
    expect(circles).toEqual([]);
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

describe('streams', () => {
  it('only terminal.ts touches process.stdout, stderr and stdin, and nothing logs', () => {
    const users = files.filter((file) =>
      /\bprocess\s*\.\s*std(out|err|in)\b|\bconsole\s*\.|from 'node:process'/.test(withoutTemplates(codeOf(file))),
    );
    expect(users).toEqual(['cli/shell/terminal.ts']);
  });

  it('only the shell ends the process or catches its signals', () => {
    const users = files.filter((file) => /\bprocess\s*\.\s*(exit|on|once)\b/.test(codeOf(file)));
    expect(users.filter((file) => layerOf(file)?.name !== 'shell')).toEqual([]);
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
  it.each(['cli/main.ts', 'cli/cache-command.ts'])(
    '%s reaches TensorFlow through dynamic imports alone, if at all',
    (entry) => {
      const seen = loadedWith(entry);
      expect([...seen]).toContain(entry === 'cli/main.ts' ? 'commander' : 'store/list.ts');
      expect([...seen].filter((target) => /^@tensorflow\//.test(target))).toEqual([]);
    },
  );

  it('loads of provisioning only what says which engine there is, and what makes the folders of the store', () => {
    const seen = [...loadedWith('cli/main.ts'), ...loadedWith('cli/generate/generate-command.ts')];
    expect(seen.filter((target) => target.startsWith('native/')).sort()).toEqual([
      'native/folders.ts',
      'native/pins.ts',
      'native/status.ts',
    ]);
  });
});
