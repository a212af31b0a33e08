// Where the Hugging Face cache of this machine is, and what a model's folder in it is called: as Python's huggingface_hub has
// it, so that each finds what the other fetched. Knows nothing of what is in it.

import { homedir } from 'node:os';
import { join } from 'node:path';

/** What the names of models' folders begin with; data sets have another. */
export const HUB_PREFIX = 'models--';

/** As huggingface_hub resolves it: HF_HUB_CACHE, else HF_HOME/hub, else huggingface/hub in the user's cache. */
export function hubCache(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const named = HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE; // the second is its older name
  const home = () => HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  return expandHome(named || join(home(), 'hub'));
}

/** The folder of `owner/name`, or of a name that has no owner. */
export function hubFolder(model: string): string {
  return HUB_PREFIX + model.replaceAll('/', '--');
}

/** A shell expands `~`, a service file does not. */
function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}
