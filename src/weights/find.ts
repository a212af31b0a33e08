// Finds the folder of a model. A path is a folder, or else owner/name in the Hugging Face cache. A name is looked up
// among the package's models, in the user's data directory, then in that cache. Never asks the network.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { KvgenError } from '../errors.js';

export interface FoundModel {
  readonly name: string;
  readonly dir: string;
  readonly source: 'package' | 'user' | 'hugging face cache' | 'path';
}

/**
 * The folder that `-m` names.
 * @param model a path if it contains a separator, else a name
 * @throws KvgenError that says where it was looked for and how to get it
 */
export function findModel(model: string): FoundModel {
  if (/[/\\]/.test(model)) {
    return findPath(model);
  }
  const found = listModels().find(({ name }) => name === model) ?? findInHub(model);
  if (found === undefined) {
    const places = [packageModels(), userModels(), hubCache()].join(', ');
    throw new KvgenError(
      `model '${model}' not found in ${places}; \`kvgen models\` lists what is here, ` +
        `\`hf download ${hubId(model)}\` fetches it, -m ./${model} names a folder`,
    );
  }
  return found;
}

/** The models that can be given by name. */
export function listModels(): FoundModel[] {
  const plain = [...foldersIn(packageModels(), 'package'), ...foldersIn(userModels(), 'user')];
  return [...plain, ...subfolders(hubCache()).flatMap((folder) => hubModel(folder) ?? [])];
}

/** The bytes of all safetensors files of a folder. */
export function weightBytes(dir: string): number {
  const names = readdirSync(dir).filter((name) => name.endsWith('.safetensors'));
  return names.reduce((sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

function findPath(path: string): FoundModel {
  const dir = resolve(path);
  if (isDirectory(dir)) {
    return { name: basename(dir), dir, source: 'path' };
  }
  const inHub = /^[\w.-]+\/[\w.-]+$/.test(path) ? hubModel(`models--${path.replace('/', '--')}`) : undefined;
  if (inHub === undefined) {
    throw new KvgenError(
      `model folder ${dir}: not found or not a folder; a model folder holds config.json and model.safetensors`,
    );
  }
  return inHub;
}

/** `gpt2` is stored as models--gpt2, or with its owner as models--openai-community--gpt2. */
function findInHub(name: string): FoundModel | undefined {
  const exact = [`models--${name}`, `models--openai-community--${name}`];
  const byAnyOwner = subfolders(hubCache()).filter((folder) => folder.endsWith(`--${name}`));
  const found = [...exact, ...byAnyOwner].map(hubModel).find((model) => model !== undefined);
  return found === undefined ? undefined : { ...found, name };
}

/** The snapshot that the branch `main` points to, else the newest one. */
function hubModel(folder: string): FoundModel | undefined {
  const root = join(hubCache(), folder);
  const snapshots = join(root, 'snapshots');
  const revision = readText(join(root, 'refs', 'main'))?.trim();
  const newest = () =>
    subfolders(snapshots).sort((a, b) => modified(join(snapshots, b)) - modified(join(snapshots, a)))[0];
  const snapshot = revision !== undefined && isDirectory(join(snapshots, revision)) ? revision : newest();
  if (snapshot === undefined) {
    return undefined;
  }
  const name = folder.slice('models--'.length).replaceAll('--', '/');
  const dir = join(snapshots, snapshot);
  return folder.startsWith('models--') && isModel(dir) ? { name, dir, source: 'hugging face cache' } : undefined;
}

function packageModels(): string {
  return fileURLToPath(new URL('../../models', import.meta.url));
}

function userModels(): string {
  return join(envPaths('kvgen', { suffix: '' }).data, 'models');
}

/** As huggingface_hub resolves it: HF_HUB_CACHE, else HF_HOME/hub, else huggingface/hub in the user's cache. */
function hubCache(): string {
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  return HF_HUB_CACHE || join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'), 'hub');
}

function hubId(name: string): string {
  return /^gpt2(-|$)/.test(name) ? `openai-community/${name}` : `<owner>/${name}`;
}

function foldersIn(dir: string, source: FoundModel['source']): FoundModel[] {
  return subfolders(dir)
    .map((name) => ({ name, dir: join(dir, name), source }))
    .filter((model) => isModel(model.dir));
}

function subfolders(dir: string): string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return [];
  }
  return names.filter((name) => isDirectory(join(dir, name))).sort();
}

function isModel(dir: string): boolean {
  return readText(join(dir, 'config.json')) !== undefined;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
