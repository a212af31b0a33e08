// `kvgen completion bash|zsh`: a completion script, made from the same tables as the parser and the help.

import { EXIT, UsageError } from '../errors.js';
import type { OptionRow } from '../settings.js';
import { COMMANDS, type CommandRow, type Invocation } from './commands.js';

export async function completionCommand({ words, terminal }: Invocation): Promise<number> {
  const [shell] = words;
  if (shell !== 'bash' && shell !== 'zsh') {
    throw new UsageError(`completion: expected bash or zsh, got ${shell ?? 'nothing'}`);
  }
  await terminal.write(shell === 'bash' ? bashScript() : zshScript());
  return EXIT.ok;
}

/** The words that a command takes first, from its usage: `<bash|zsh>`. */
function shells(row: CommandRow): string[] {
  return row.usage.match(/^<([\w|]+)>/)?.[1]?.split('|') ?? [];
}

/** Long and short forms, as typed. */
function flags(options: readonly OptionRow[]): string[] {
  return [...options.flatMap((row) => row.flags.match(/--?[\w-]+(?=[ ,]|$)/g) ?? []), '--help', '--version'];
}

function bashScript(): string {
  const cases = COMMANDS.map(
    (row) => `    ${row.name}) words="${[...flags(row.options), ...shells(row)].join(' ')}" ;;`,
  );
  const values = choices().map(
    ({ flag, words }) => `    ${flag}) COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$cur")); return ;;`,
  );
  return `# bash completion for kvgen
_kvgen() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words
  case $prev in
    ${pathFlags().join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -m|--model) COMPREPLY=($(compgen -W "stories" -- "$cur") $(compgen -d -- "$cur")); return ;;
${values.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words="${flags(COMMANDS[0].options).join(' ')}" ;;
  esac
  [[ \${COMP_WORDS[1]} == batch && $cur != -* && $COMP_CWORD -gt 1 ]] && COMPREPLY=($(compgen -f -- "$cur")) && return
  [[ $COMP_CWORD -eq 1 ]] && words="$words ${COMMANDS.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _kvgen kvgen
`;
}

/** Of all commands, the options whose values are files. */
function pathFlags(): string[] {
  const rows = COMMANDS.flatMap(({ options }) => options).filter((row) => row.flags.includes('<path>'));
  return [...new Set(rows.flatMap((row) => row.flags.match(/--?[\w-]+/g) ?? []))];
}

function zshScript(): string {
  const commands = COMMANDS.map((row) => `    '${row.name}:${escapeWord(row.description)}'`);
  const cases = COMMANDS.map(
    (row) =>
      `    ${row.name}) _arguments ${row.options.flatMap(zshArguments).join(' ')} '*:word:${wordAction(row)}' ;;`,
  );
  return `#compdef kvgen
_kvgen() {
  local -a commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
    *) _arguments ${COMMANDS[0].options.flatMap(zshArguments).join(' ')} '*:prompt:' ;;
  esac
}
if [[ $funcstack[1] == _kvgen ]]; then _kvgen "$@"; else compdef _kvgen kvgen; fi
`;
}

/** What stands behind the command itself: its own words, or files. */
function wordAction(row: CommandRow): string {
  return row.usage.endsWith('[file]') ? '_files' : `(${shells(row).join(' ')})`;
}

function zshArguments(row: OptionRow): string[] {
  const takesValue = row.flags.includes('<');
  const action =
    row.choices === undefined ? (/<(path|dir)/.test(row.flags) ? '_files' : ' ') : `(${row.choices.join(' ')})`;
  return flags([row])
    .filter((flag) => flag !== '--help' && flag !== '--version')
    .map((flag) => `'*${flag}[${escapeWord(row.description)}]${takesValue ? `:value:${action}` : ''}'`);
}

function choices(): { flag: string; words: readonly string[] }[] {
  return COMMANDS[0].options.flatMap((row) =>
    row.choices === undefined ? [] : [{ flag: row.flags.split(' ')[0] as string, words: row.choices }],
  );
}

/** For a word in single quotes inside zsh's own brackets and colons. */
function escapeWord(text: string): string {
  return text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
}
