// `kvgen completion bash|zsh`: prints a completion script, made from the same tables as the parser and --help.

import { EXIT, UsageError } from '../errors.js';
import { GENERATE, optionsOf, type TypedOption } from '../settings.js';
import type { CommandRow, RunCommand } from './shell/command.js';
import { SHELLS } from './shell/command-settings.js';

/** The first is the command that runs without a name. */
type Commands = readonly [CommandRow, ...CommandRow[]];

const SCRIPTS = { bash: bashScript, zsh: zshScript } as const satisfies Record<(typeof SHELLS)[number], unknown>;

export function completionCommand(commands: Commands): RunCommand {
  return async ({ words: [word], terminal }) => {
    const shell = SHELLS.find((name) => name === word);
    if (shell === undefined) {
      throw new UsageError(`completion: expected ${SHELLS.join(' or ')}, got ${word ?? 'nothing'}`);
    }
    await terminal.write(SCRIPTS[shell](commands));
    return EXIT.ok;
  };
}

function bashScript(commands: Commands): string {
  const cases = commands.map((row) => `    ${row.name}) words="${bashWords(row)}" ;;`);
  const takers = commands.filter(({ takesFiles }) => takesFiles).map(({ name }) => name);
  return `# bash completion for kvgen
_kvgen() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words
  case $prev in
    ${pathForms(commands).join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -m|--model) COMPREPLY=($(compgen -W "${GENERATE.model.fallback}" -- "$cur") $(compgen -d -- "$cur")); return ;;
${bashChoices().join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words="${bashWords(commands[0])}" ;;
  esac
  [[ " ${takers.join(' ')} " == *" \${COMP_WORDS[1]} "* && $cur != -* && $COMP_CWORD -gt 1 ]] && COMPREPLY=($(compgen -f -- "$cur")) && return
  [[ $COMP_CWORD -eq 1 ]] && words="$words ${commands.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _kvgen kvgen
`;
}

/** The words that may follow a command: its options and its actions. */
function bashWords({ settings, actions = [] }: CommandRow): string {
  const forms = optionsOf(settings).flatMap((option) => option.forms);
  return [...forms, '--help', '--version', ...actions].join(' ');
}

/** The options of all commands whose values are files. */
function pathForms(commands: Commands): string[] {
  const options = commands.flatMap(({ settings }) => optionsOf(settings));
  const paths = options.filter(({ setting }) => setting.kind.completes === 'files');
  return [...new Set(paths.flatMap(({ forms }) => forms))];
}

/** A case for each option of generate that has choices. */
function bashChoices(): string[] {
  return optionsOf(GENERATE).flatMap(({ forms, setting: { kind } }) =>
    kind.choices === undefined
      ? []
      : [`    ${forms[0]}) COMPREPLY=($(compgen -W "${kind.choices.join(' ')}" -- "$cur")); return ;;`],
  );
}

function zshScript(commands: Commands): string {
  const described = commands.map((row) => `    '${row.name}:${escapeWord(row.description)}'`);
  const cases = commands.map((row) => `    ${row.name}) _arguments ${zshOptions(row)} '*:word:${wordAction(row)}' ;;`);
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
    *) _arguments ${zshOptions(commands[0])} '*:prompt:' ;;
  esac
}
if [[ $funcstack[1] == _kvgen ]]; then _kvgen "$@"; else compdef _kvgen kvgen; fi
`;
}

/** How zsh completes the words after the command. */
function wordAction({ takesFiles, actions = [] }: CommandRow): string {
  return takesFiles ? '_files' : `(${actions.join(' ')})`;
}

function zshOptions({ settings }: CommandRow): string {
  return optionsOf(settings).flatMap(zshOption).join(' ');
}

function zshOption({ forms, words, setting }: TypedOption): string[] {
  const { value, choices, completes } = setting.kind;
  const found = choices === undefined ? (completes === undefined ? ' ' : '_files') : `(${choices.join(' ')})`;
  return forms.map((form) => `'*${form}[${escapeWord(words)}]${value === undefined ? '' : `:value:${found}`}'`);
}

/** Escapes what has a meaning in zsh: single quotes, brackets and colons. */
function escapeWord(text: string): string {
  return text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
}
