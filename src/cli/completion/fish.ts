// The completion script for fish.

import { optionsOf, type TypedOption } from '../../settings.js';
import type { CommandRow } from '../shell/command.js';
import { type Commands, type Offer, valueOffer, wordsOf } from './completions.js';

export function fishScript(commands: Commands): string {
  const [first] = commands;
  const named = commands.map(
    ({ name, description }) => `complete -c kvgen -n __kvgen_is_first -a ${name} -d ${quoted(description)}`,
  );
  return `# fish completion for kvgen
function __kvgen_command
    set -l words (commandline -opc)
    if contains -- "$words[2]" ${commands.map(({ name }) => name).join(' ')}
        echo $words[2]
    else
        echo ${first.name}
    end
end
function __kvgen_is
    test (__kvgen_command) = $argv[1]
end
function __kvgen_is_first
    test (count (commandline -opc)) -eq 1
end
function __kvgen_models
    set -l words (commandline -opc)
    $words[1] completion models 2>/dev/null
    __fish_complete_directories
    for file in (commandline -ct)*.gguf
        echo $file
    end
end
function __kvgen_sessions
    set -l words (commandline -opc)
    $words[1] completion sessions 2>/dev/null
end
complete -c kvgen -f
complete -c kvgen -s h -l help -d 'print help'
complete -c kvgen -s V -l version -d 'print the version'
${named.join('\n')}
${commands.flatMap(lines).join('\n')}
`;
}

/** The words and the options of one command. */
function lines(row: CommandRow): string[] {
  const words = wordsOf(row);
  const start = `complete -c kvgen -n ${quoted(`__kvgen_is ${row.name}`)}`;
  const behind = `complete -c kvgen -n ${quoted(`__kvgen_is ${row.name}; and not __kvgen_is_first`)}`;
  return [
    ...(words === undefined ? [] : [`${behind} ${offered(words)}`]),
    ...optionsOf(row.settings).map((option) => `${start} ${spelled(option)} -d ${quoted(option.words)}`),
  ];
}

function spelled(option: TypedOption): string {
  const names = option.forms.map((form) => (form.startsWith('--') ? `-l ${form.slice(2)}` : `-s ${form.slice(1)}`));
  const value = valueOffer(option);
  return [...names, ...(value === null ? [] : ['-r', offered(value)])].join(' ');
}

function offered(offer: Offer): string {
  switch (offer) {
    case undefined:
      return '-f';
    case 'files':
      return '-F';
    case 'models':
      return '-f -a "(__kvgen_models)"';
    case 'sessions':
      return '-f -a "(__kvgen_sessions)"';
    default:
      return `-f -a ${quoted(offer.join(' '))}`;
  }
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
