// `kvgen completion bash|zsh`: a completion script, made from the same tables as the parser and the help.

import { EXIT, UsageError } from '../errors.js';
import type { OptionRow } from '../settings.js';
import type { CommandRow, Run } from './shell/command.js';

/** The first is the one that needs no name. */
type Commands = readonly [CommandRow, ...CommandRow[]];

export function completionCommand(commands: Commands): Run {
  return async ({ words: [shell], terminal }) => {
    if (shell !== 'bash' && shell !== 'zsh') {
      throw new UsageError(`completion: expected bash or zsh, got ${shell ?? 'nothing'}`);
    }
    await terminal.write(shell === 'bash' ? bashScript(commands) : zshScript(commands));
    return EXIT.ok;
  };
}

/** Long and short forms, as typed. */
function flags(options: readonly OptionRow[]): string[] {
  return [...options.flatMap((row) => row.flags.match(/--?[\w-]+(?=[ ,]|$)/g) ?? []), '--help', '--version'];
}

function bashScript(commands: Commands): string {
  const cases = commands.map(
    (row) => `    ${row.name}) words="${[...flags(row.options), ...(row.actions ?? [])].join(' ')}" ;;`,
  );
  const values = choices(commands).map(
    ({ flag, words }) => `    ${flag}) COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$cur")); return ;;`,
  );
  return `# bash completion for kvgen
_kvgen() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words
  case $prev in
    ${pathFlags(commands).join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -m|--model) COMPREPLY=($(compgen -W "stories" -- "$cur") $(compgen -d -- "$cur")); return ;;
${values.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words="${flags(commands[0].options).join(' ')}" ;;
  esac
  [[ \${COMP_WORDS[1]} == batch && $cur != -* && $COMP_CWORD -gt 1 ]] && COMPREPLY=($(compgen -f -- "$cur")) && return
  [[ $COMP_CWORD -eq 1 ]] && words="$words ${commands.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _kvgen kvgen
`;
}

/** Of all commands, the options whose values are files. */
function pathFlags(commands: Commands): string[] {
  const rows = commands.flatMap(({ options }) => options).filter((row) => row.flags.includes('<path>'));
  return [...new Set(rows.flatMap((row) => row.flags.match(/--?[\w-]+/g) ?? []))];
}

function zshScript(commands: Commands): string {
  const described = commands.map((row) => `    '${row.name}:${escapeWord(row.description)}'`);
  const cases = commands.map(
    (row) =>
      `    ${row.name}) _arguments ${row.options.flatMap(zshArguments).join(' ')} '*:word:${wordAction(row)}' ;;`,
  );
  return `#compdef kvgen
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
    *) _arguments ${commands[0].options.flatMap(zshArguments).join(' ')} '*:prompt:' ;;
  esac
}
if [[ $funcstack[1] == _kvgen ]]; then _kvgen "$@"; else compdef _kvgen kvgen; fi
`;
}

/** What stands behind the command itself: its own words, or files. */
function wordAction({ takesFiles, actions = [] }: CommandRow): string {
  return takesFiles ? '_files' : `(${actions.join(' ')})`;
}

function zshArguments(row: OptionRow): string[] {
  const takesValue = row.flags.includes('<');
  const action =
    row.choices === undefined ? (/<(path|dir)/.test(row.flags) ? '_files' : ' ') : `(${row.choices.join(' ')})`;
  return flags([row])
    .filter((flag) => flag !== '--help' && flag !== '--version')
    .map((flag) => `'*${flag}[${escapeWord(row.description)}]${takesValue ? `:value:${action}` : ''}'`);
}

function choices(commands: Commands): { flag: string; words: readonly string[] }[] {
  return commands[0].options.flatMap((row) =>
    row.choices === undefined ? [] : [{ flag: row.flags.split(' ')[0] as string, words: row.choices }],
  );
}

/** For a word in single quotes inside zsh's own brackets and colons. */
function escapeWord(text: string): string {
  return text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
}
