// The completion script for bash.

import type { CommandRow } from '../shell/command.js';
import { type Commands, formsOf, formsThatTake, optionsWithChoices, wordsOf } from './completions.js';

export function bashScript(commands: Commands): string {
  const cases = commands.map((row) => `    ${row.name}) words="${wordsAfter(row)}" ;;`);
  const takers = (kind: 'files' | 'models' | 'sessions') =>
    commands.filter(({ takes }) => takes === kind).map(({ name }) => name);
  const choices = optionsWithChoices(commands).map(
    ({ forms, choices }) =>
      `    ${forms.join('|')}) COMPREPLY=($(compgen -W "${choices.join(' ')}" -- "$cur")); return ;;`,
  );
  return `# bash completion for kvgen
_kvgen_models() {
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" completion models 2>/dev/null)" -- "$cur") $(compgen -d -- "$cur") $(compgen -f -X '!*.gguf' -- "$cur"))
}
_kvgen_sessions() {
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" completion sessions 2>/dev/null)" -- "$cur"))
}
_kvgen() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words
  case $prev in
    ${formsThatTake(commands, 'files').join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    ${formsThatTake(commands, 'models').join('|')}) _kvgen_models; return ;;
${choices.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words="${wordsAfter(commands[0])}" ;;
  esac
  if [[ $cur != -* && $COMP_CWORD -gt 1 ]]; then
    case \${COMP_WORDS[1]} in
      ${takers('files').join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
      ${takers('models').join('|')}) _kvgen_models; return ;;
      ${takers('sessions').join('|')}) _kvgen_sessions; return ;;
    esac
  fi
  [[ $COMP_CWORD -eq 1 ]] && words="$words ${commands.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o filenames -F _kvgen kvgen
`;
}

/** The words that may follow a command: its options and its actions. */
function wordsAfter(row: CommandRow): string {
  const words = wordsOf(row);
  return [...formsOf(row), ...(Array.isArray(words) ? words : [])].join(' ');
}
