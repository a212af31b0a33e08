// The completion script for zsh.

import { optionsOf, type TypedOption } from '../../settings.js';
import type { CommandRow } from '../shell/command.js';
import { type Commands, type Offer, valueOffer, wordsOf } from './completions.js';

export function zshScript(commands: Commands): string {
  const described = commands.map((row) => `    '${row.name}:${escapeWord(row.description)}'`);
  const cases = commands.map(
    (row) => `    ${row.name}) _arguments ${options(row)} '*:word:${action(wordsOf(row), '()')}' ;;`,
  );
  return `#compdef kvgen
_kvgen_models() {
  local -a names=(\${(f)"$($service completion models 2>/dev/null)"})
  compadd -a names
  _files -g '*.gguf'
}
_kvgen_sessions() {
  local -a names=(\${(f)"$($service completion sessions 2>/dev/null)"})
  compadd -a names
}
_kvgen() {
  local -a commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
    *) _arguments ${options(commands[0])} '*:prompt:' ;;
  esac
}
if [[ $funcstack[1] == _kvgen ]]; then _kvgen "$@"; else compdef _kvgen kvgen; fi
`;
}

/** How zsh completes it. */
function action(offer: Offer, anything: string): string {
  switch (offer) {
    case undefined:
      return anything;
    case 'files':
      return '_files';
    case 'models':
      return '_kvgen_models';
    case 'sessions':
      return '_kvgen_sessions';
    default:
      return `(${offer.join(' ')})`;
  }
}

function options({ settings }: CommandRow): string {
  return optionsOf(settings).flatMap(option).join(' ');
}

function option(typed: TypedOption): string[] {
  const value = valueOffer(typed);
  const taken = value === null ? '' : `:value:${action(value, ' ')}`;
  return typed.forms.map((form) => `'*${form}[${escapeWord(typed.words)}]${taken}'`);
}

/** Escapes what has a meaning in zsh: single quotes, backslashes, brackets and colons. */
function escapeWord(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&').replace(/'/g, "'\\''");
}
