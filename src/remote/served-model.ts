// What a server is and which model it serves, asked once: `/props` is llama.cpp's, `/version` is vLLM's, `/v1/models` names the
// models and who owns them. A server that says none of this is taken for one that has what all have.

import { KvgenError, shown } from '../errors.js';
import type { Connection } from './connection.js';
import { jsonOf } from './event-stream.js';
import { parsed, refusal } from './remote-errors.js';
import { beginningOf, type ServerAnswer } from './server-answer.js';
import { KINDS, type ServerKind } from './server-kind.js';

/** Bytes: a chat template is in it. */
const LONGEST_PROPS = 4e6;

/** A model of a server. */
export interface ServedModel {
  readonly kind: ServerKind;
  /** What a request calls it. */
  readonly model: string;
  /** Positions of its context; undefined: the server does not say. */
  readonly nCtx: number | undefined;
}

/** What `/v1/models` says of one. */
interface Listed {
  readonly id: string;
  readonly ownedBy: unknown;
  readonly nCtx: number | undefined;
}

/** Which of the served models is wanted. */
export interface Wanted {
  /** undefined: the only one. */
  readonly model?: string | undefined;
  /** If there is none of that name, the only one is meant: it is the name of a folder here. */
  readonly isFolder?: boolean;
}

/** @throws KvgenError where there is no server, or no such model, with those that there are */
export async function servedModel(connection: Connection, wanted: Wanted, signal: AbortSignal): Promise<ServedModel> {
  const listing = await connection.get('/v1/models', signal);
  const models = await listed(listing, connection, signal);
  const owner = models[0]?.ownedBy;
  const known = owner === 'kvgen' ? KINDS.kvgen : owner === 'vllm' ? KINDS.vllm : undefined;
  const { kind: found, nCtx } = known === undefined ? await probed(connection, owner, signal) : { kind: known };
  const kind = found === KINDS.compatible && listing.status === 404 ? unlisted(connection.server) : found;
  const isOwn = kind === KINDS.mlx && wanted.model === undefined; // its list has all that lies on that machine
  const chosen = isOwn ? NAMELESS : choose(models, wanted, connection.server);
  return { kind, model: chosen.id, nCtx: chosen.nCtx ?? nCtx };
}

/** Perhaps no such server at all: what it cannot do is said with its address. */
function unlisted(server: string): ServerKind {
  return { ...KINDS.compatible, title: `${server} (no /v1/models: is this its address?)` };
}

/** The model that a server was started with. */
const NAMELESS: Listed = { id: 'default_model', ownedBy: undefined, nCtx: undefined };

/** Not every server has a list, and mlx-lm's may be empty. */
async function listed(answer: ServerAnswer, { server, hasKey }: Connection, signal: AbortSignal): Promise<Listed[]> {
  if (answer.status !== 200) {
    const error = await refusal(answer, server, hasKey);
    if (answer.status === 404) {
      return [];
    }
    throw error;
  }
  const json = await jsonOf(answer, server).catch((error: unknown) => {
    signal.throwIfAborted();
    if (answer.headers.get('server')?.startsWith('BaseHTTP')) {
      return {};
    }
    throw error;
  });
  const { data } = Object(json);
  if (!Array.isArray(data)) {
    return [];
  }
  return data.flatMap((model: unknown) => {
    const { id, owned_by: ownedBy, max_model_len: length, meta } = Object(model);
    const nCtx = [length, meta?.n_ctx].find((n) => Number.isSafeInteger(n) && n > 0);
    return typeof id === 'string' ? [{ id, ownedBy, nCtx }] : [];
  });
}

async function probed(connection: Connection, owner: unknown, signal: AbortSignal) {
  const props = await ask(connection, '/props', signal);
  const settings = Object(props.json).default_generation_settings;
  if (owner === 'llamacpp' || settings !== undefined) {
    const nCtx = settings?.n_ctx;
    return { kind: KINDS.llamaCpp, nCtx: Number.isSafeInteger(nCtx) && nCtx > 0 ? (nCtx as number) : undefined };
  }
  if (props.isPython && /^"?Not Found"?$/.test(props.text)) {
    return { kind: KINDS.mlx };
  }
  const { json } = await ask(connection, '/version', signal);
  return { kind: typeof Object(json).version === 'string' ? KINDS.vllm : KINDS.compatible };
}

/** What is said there, whatever it is; a server need not have such an address. */
async function ask(connection: Connection, path: string, signal: AbortSignal) {
  try {
    const answer = await connection.get(path, signal);
    const isPython = answer.headers.get('server')?.startsWith('BaseHTTP') ?? false; // http.server of its library
    const text = (await beginningOf(answer, LONGEST_PROPS)).toString();
    return { isPython, text, json: parsed(text) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof KvgenError)) {
      throw error;
    }
    return { isPython: false, text: '', json: undefined };
  }
}

function choose(models: readonly Listed[], { model, isFolder = false }: Wanted, server: string): Listed {
  const [only] = models;
  const named = models.find(({ id }) => id === model);
  if (named !== undefined || (only !== undefined && models.length === 1 && (model === undefined || isFolder))) {
    return named ?? (only as Listed);
  }
  if (only === undefined) {
    return { ...NAMELESS, ...(model !== undefined && { id: model }) };
  }
  const what = model === undefined ? 'several models' : `no model ${shown(model)}`;
  throw new KvgenError(`${server} serves ${what}; -m names one of ${models.map(({ id }) => shown(id)).join(', ')}`);
}
