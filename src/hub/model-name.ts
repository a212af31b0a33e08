// What a person calls a model on the hub: owner/name, a name alone, or the address of its page. Also what is a revision, and
// what is a hub. Knows nothing of what is there.

import { shown, UsageError } from '../errors.js';

/** A model as it was asked for. */
export interface ModelName {
  /** `owner/name`, or `name` where the hub has it without an owner. */
  readonly model: string;
  /** A branch, a tag or a commit; undefined: not said. */
  readonly revision: string | undefined;
  /** The one file whose address was given. */
  readonly file: string | undefined;
}

/** Hosts that are the same hub. */
const PUBLIC_HOSTS = ['huggingface.co', 'www.huggingface.co', 'hf.co'];
const LONGEST = 96;

/** Could the hub have a model of this name? */
export function isModelName(text: string): boolean {
  const parts = text.split('/');
  return text.length <= LONGEST && parts.length <= 2 && parts.every(isNamePart) && !text.endsWith('.git');
}

function isNamePart(part: string): boolean {
  return /^\w([\w.-]*\w)?$/.test(part) && !/--|\.\./.test(part);
}

/**
 * @param hub its base address, as `parseHub` gives it
 * @throws UsageError for what is neither a name nor the address of a model on this hub
 */
export function parseModelName(text: string, hub: string): ModelName {
  const page = pageOf(text, hub);
  if (page !== undefined) {
    return parsePage(page, text);
  }
  const model = text.replace(/\/+$/, '');
  if (!isModelName(model)) {
    throw new UsageError(`${shown(text)} is no name of a model: expected owner/name, such as openai-community/gpt2`);
  }
  return { model, revision: undefined, file: undefined };
}

/** The parts of the path of an address; undefined: the text is none. */
function pageOf(text: string, hub: string): string[] | undefined {
  const isAddress = /^https?:\/\//i.test(text);
  if (!isAddress && !PUBLIC_HOSTS.some((host) => text.startsWith(`${host}/`))) {
    return undefined;
  }
  const address = isAddress ? text : `https://${text}`;
  const page = URL.canParse(address) ? new URL(address) : undefined;
  const base = new URL(hub);
  const isSameHost = page?.host === base.host || (isPublic(page?.host) && isPublic(base.host));
  if (page === undefined || !isSameHost) {
    throw new UsageError(`${shown(text)} is not on the hub ${hub}; --hub names another one`);
  }
  const path = page.pathname.startsWith(base.pathname) ? page.pathname.slice(base.pathname.length) : page.pathname;
  return path.split('/').filter((part) => part !== '');
}

function isPublic(host: string | undefined): boolean {
  return host !== undefined && PUBLIC_HOSTS.includes(host);
}

const OTHER_KINDS = ['datasets', 'spaces', 'collections', 'papers', 'docs', 'blog'];

/** @param parts owner, name, and what of it: `tree/main`, `blob/main/config.json` */
function parsePage(parts: readonly string[], text: string): ModelName {
  if (OTHER_KINDS.includes(parts[0] ?? '')) {
    throw new UsageError(`${shown(text)} is no model; expected an address such as https://huggingface.co/owner/name`);
  }
  const at = parts.findIndex((part, index) => index > 0 && ['tree', 'blob', 'resolve', 'commit'].includes(part));
  const model = parts.slice(0, at < 0 ? parts.length : at).join('/');
  const [view, revision, ...path] = at < 0 ? [] : parts.slice(at).map(decoded);
  const file = path.length === 0 ? undefined : path.join('/');
  if (!isModelName(model) || (view !== undefined && revision === undefined)) {
    throw new UsageError(`${shown(text)} is no page of a model; expected https://huggingface.co/owner/name`);
  }
  if (file !== undefined && view === 'tree') {
    throw new UsageError(`${shown(text)} is a folder of a model; name the model, and --file ${shown(`${file}/*`)}`);
  }
  return { model, revision: revision === undefined ? undefined : checkRevision(revision, 'the revision'), file };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A revision is a path in the cache, too. @throws UsageError for what git would not call a branch, tag or commit */
export function checkRevision(revision: string, option: string): string {
  const parts = revision.split('/');
  const isWhole = parts.every((part) => /^[^\s\\~^:?*[\p{Cc}]+$/u.test(part) && !/^\.|\.\.|\.lock$/.test(part));
  if (!isWhole || revision.length > 255) {
    throw new UsageError(`${option} must be a branch, a tag or a commit, got ${shown(revision)}`);
  }
  return revision;
}

/**
 * @returns the address without a slash at its end
 * @throws UsageError for what is no https address, nor http on this machine
 */
export function parseHub(text: string, option: string): string {
  const hub = URL.canParse(text) ? new URL(text) : undefined;
  if (hub === undefined || !/^https?:$/.test(hub.protocol) || hub.search !== '' || hub.hash !== '') {
    throw new UsageError(`${option} must be an address such as https://huggingface.co, got ${shown(text)}`);
  }
  if (hub.username !== '' || hub.password !== '') {
    throw new UsageError(`${option} must have no user and password in it; a token comes from HF_TOKEN`);
  }
  if (!isSafe(hub)) {
    throw new UsageError(`${option} must be https, or http on this machine (127.0.0.1), got ${shown(text)}`);
  }
  return `${hub.origin}${hub.pathname}`.replace(/\/+$/, '');
}

/** May something be fetched from there? A token or a model must not cross a network in the clear. */
export function isSafe({ protocol, hostname }: URL): boolean {
  const isHere = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
  return protocol === 'https:' || (protocol === 'http:' && isHere);
}
