// What a server said of a text that it made, in words and as JSON. What it did not say is null, and never a guess.

import type { CompletionToken, Served } from '../../completion/complete.js';

/** A part of the line of statistics. */
export function servedWords({ server, promptTokens, reusedTokens }: Served): string {
  const tokens = promptTokens === null ? 'of unknown length' : `${promptTokens} token${promptTokens === 1 ? '' : 's'}`;
  const reused = reusedTokens === null ? 'reused: not reported' : `${reusedTokens} reused`;
  return `prompt ${tokens} (${reused}) · ${new URL(server).host}`;
}

/** Fields of --json that the server decides, in the place of those of a text that was made here. */
export function servedFields(served: Served, tokens: readonly CompletionToken[]): object {
  const { promptIds, promptTokens, generationTokens, reusedTokens, areAllIds } = served;
  return {
    engine: served.kind,
    server: served.server,
    prompt_ids: promptIds,
    ids: areAllIds ? tokens.map(({ id }) => id) : null,
    prompt_tokens: promptTokens,
    generation_tokens: generationTokens,
    cache: { enabled: null, positions: null, bytes: null, prompt: reuseJson(promptTokens, reusedTokens) },
  };
}

function reuseJson(promptTokens: number | null, reusedTokens: number | null): object {
  const known = promptTokens !== null && reusedTokens !== null;
  return {
    result: known ? resultOf(promptTokens, reusedTokens) : null,
    reused_tokens: reusedTokens,
    computed_tokens: known ? promptTokens - reusedTokens : null,
    written_tokens: null,
    saved_ms: null,
    miss_reason: null,
    first_difference: null,
  };
}

function resultOf(promptTokens: number, reusedTokens: number): string {
  return reusedTokens === 0 ? 'miss' : reusedTokens < promptTokens ? 'partial' : 'hit';
}
