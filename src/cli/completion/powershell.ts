// The completion script for PowerShell.

import { type Commands, formsOf, formsThatTake, optionsWithChoices, wordsOf } from './completions.js';

export function powershellScript(commands: Commands): string {
  const [first] = commands;
  const names = commands.map(({ name }) => name);
  const takers = (kind: 'files' | 'models' | 'sessions') =>
    commands.filter(({ takes }) => takes === kind).map(({ name }) => name);
  const words = commands.map((row) => {
    const behind = wordsOf(row);
    return `    ${quoted(row.name)} = ${list([...formsOf(row), ...(Array.isArray(behind) ? behind : [])])}`;
  });
  const values = optionsWithChoices(commands).flatMap(({ forms, choices }) =>
    forms.map((form) => `    ${quoted(form)} = ${list(choices)}`),
  );
  return `# PowerShell completion for kvgen
Register-ArgumentCompleter -Native -CommandName kvgen -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @{
${words.join('\n')}
  }
  $values = @{
${values.join('\n')}
  }
  $before = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
  $previous = $before[-1]
  $command = if ($before.Count -gt 1 -and $words.ContainsKey($before[1])) { $before[1] } else { ${quoted(first.name)} }
  $isWord = $before.Count -gt 1 -and -not $wordToComplete.StartsWith('-')
  if (${list(formsThatTake(commands, 'files'))} -ccontains $previous -or ($isWord -and ${list(takers('files'))} -contains $command)) {
    return
  }
  $offered = if ($values.ContainsKey($previous)) { $values[$previous] }
  elseif (${list(formsThatTake(commands, 'models'))} -ccontains $previous -or ($isWord -and ${list(takers('models'))} -contains $command)) { & $before[0] completion models 2>$null }
  elseif ($isWord -and ${list(takers('sessions'))} -contains $command) { & $before[0] completion sessions 2>$null }
  elseif ($before.Count -eq 1) { $words[$command] + ${list(names)} }
  else { $words[$command] }
  $offered | Where-Object { $_.StartsWith($wordToComplete) } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`;
}

function list(words: readonly string[]): string {
  return `@(${words.map(quoted).join(', ')})`;
}

function quoted(text: string): string {
  return `'${text.replace(/'/g, "''")}'`;
}
