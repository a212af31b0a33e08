// The commands: one row each, with the texts of its --help, its settings, and an import of its code, which is loaded
// when the command is called.

import { GENERATE } from '../settings.js';
import type { CommandRow } from './shell/command.js';
import {
  BATCH,
  BENCH,
  CACHE,
  CACHE_ACTIONS,
  CACHE_PLAN,
  CHAT,
  DOCTOR,
  MODELS,
  PULL,
  QUANTIZE,
  SCORE,
  SERVE,
  SHELLS,
  TOKENIZE,
  VIEW,
} from './shell/command-settings.js';

export const COMMANDS: readonly [CommandRow, ...CommandRow[]] = [
  {
    name: 'generate',
    description:
      "Write text with a GPT-2-style model. The default model, stories, knows English children's stories and nothing else.",
    usage: '[options] [prompt]',
    maxWords: 1,
    settings: GENERATE,
    examples: [
      'kvgen "Once upon a time"',
      'kvgen -n 400 --seed 7 "The dragon" | tee dragon.txt',
      'kvgen --no-cache --verbose "Once upon a time"',
    ],
    notes: `
Commands (kvgen <command> --help):
  score        log-probabilities of given continuations, perplexity of a text
  chat         talk to a model, or write with it turn by turn
  batch        many prompts in one run, JSON lines in and out
  serve        an OpenAI-compatible server on this machine
  bench        measure prefill and decode, with and without the cache
  view         a page of one run: tokens, probabilities, attention, cache, time
  cache        the saved prompts and answers: ls, show, rm, clear, prune, path, stats, plan
  tokenize     token ids of a text as a JSON array
  models       the models found on this machine
  pull         fetch a model from the Hugging Face hub
  quantize     an int8 folder of a model, a quarter of its size
  setup        install the native engine
  doctor       what runs here, and a self-test
  completion   a completion script for bash, zsh, fish or PowerShell

The prompt also comes from -f FILE, from stdin (kvgen -, or a pipe) or from --prompt-ids.
After -- everything is the prompt: kvgen -- bench
Environment: KVGEN_MODEL, KVGEN_BACKEND, KVGEN_WEIGHTS, KVGEN_PROMPT_CACHE=1, KVGEN_CACHE_DIR, KVGEN_CACHE_KEY_FILE or KVGEN_CACHE_KEY_COMMAND (seal what is saved), KVGEN_SERVER, KVGEN_API_KEY (its key), KVGEN_DEBUG=1 (stack traces), NO_COLOR, HF_HOME, HF_HUB_CACHE.`,
    load: async () => (await import('./generate/generate-command.js')).generateCommand,
  },
  {
    name: 'score',
    description: 'Log-probabilities of given continuations of a prompt, best first; or the perplexity of a text.',
    usage: '[options] [prompt]',
    maxWords: 1,
    settings: SCORE,
    examples: [
      'kvgen score --choices " dog| house" "The puppy was a little"',
      'kvgen score --perplexity story.txt',
      'kvgen score --perplexity stories.txt --per-document --json',
    ],
    notes: `
Choices are tokenized apart from the prompt and taken literally: a leading space is yours to write. PROBABILITY is the
share among these choices. With --prompt-cache a long prompt is computed once for any number of runs.`,
    load: async () => (await import('./score/score-command.js')).scoreCommand,
  },
  {
    name: 'batch',
    description: 'Many prompts in one run: a JSON object a line in, and one out for each, in the same order.',
    usage: '[options] [file]',
    maxWords: 1,
    takes: 'files',
    settings: BATCH,
    examples: ['kvgen batch prompts.jsonl > texts.jsonl', 'kvgen batch -n 32 --temp 0 < prompts.jsonl | jq -r .text'],
    notes: `
A row is {"id": …, "prompt": …}, and any of generate's long options in snake_case: max_tokens, temperature, seed, stop
(a text or a list), logit_bias (an object), prompt_ids (a list, instead of prompt). The options above are what rows
without one of their own have. A result has the fields of generate's --json behind the id; a row that cannot be run
gives {"id": …, "error": …}, the others go on, and the exit code is 1. What prompts begin with in common is computed once, as long as it
is remembered; --reorder makes that always. kvgen cache plan says how much it saves, before anything runs.`,
    load: async () => (await import('./batch/batch-command.js')).batchCommand,
  },
  {
    name: 'chat',
    description:
      'Talk to a model, or write with it turn by turn. With a name the chat is kept, and goes on where it ended.',
    usage: '[options] [session]',
    maxWords: 1,
    takes: 'sessions',
    settings: CHAT,
    examples: [
      'kvgen chat -m ./SmolLM2-135M-Instruct.gguf',
      'kvgen chat --system "You are brief." garden',
      "printf 'Hello!\\nAnd who are you?\\n' | kvgen chat -m ./SmolLM2-135M-Instruct.gguf",
    ],
    notes: `
A model with a chat template answers; one without continues the text. Each turn runs only what is new. /help lists what can be
typed instead of a message; several lines stand between """ and """, or end in \\. Ctrl-C stops an answer, which stays as far as it
came; Ctrl-D leaves. Where stdin is no terminal, every line is a turn. A session is saved at every turn, with its keys and
values; options that are not given are those that it was saved with.

Environment: XDG_STATE_HOME (where sessions and the lines that were typed are kept), and those of generate.`,
    load: async () => (await import('./chat/chat-command.js')).chatCommand,
  },
  {
    name: 'serve',
    description: 'An OpenAI-compatible server on this machine: /v1/completions, /v1/chat/completions, /v1/models.',
    usage: '[options]',
    maxWords: 0,
    settings: SERVE,
    endsBySigterm: true,
    examples: [
      'kvgen serve',
      'kvgen serve -m ./SmolLM2-135M-Instruct.gguf --weights int8 --port 0',
      'KVGEN_API_KEY=… kvgen serve --host 0.0.0.0',
    ],
    notes: `
Requests are decoded together; what prompts begin with in common is computed once. A parameter that is not done is refused
by name. Where a request does not say: temperature 1, top_p 1, no top_k, 16 tokens (a chat: to the end of the context).
/health and /metrics (Prometheus) say how it is. SIGTERM or Ctrl-C: no more requests, those that run are answered; a second
one ends at once.

Environment: KVGEN_API_KEY (the key that requests must have), and those of generate.`,
    load: async () => (await import('./serve/serve-command.js')).serveCommand,
  },
  {
    name: 'bench',
    description: 'Measure prefill and decode at several depths of the cache, and decode without it. Samples nothing.',
    usage: '[options]',
    maxWords: 0,
    settings: BENCH,
    examples: [
      'kvgen bench',
      'kvgen bench -m random:124M --depth 32,900 --cached-only',
      'kvgen bench --backend node,simd --weights float32,int8',
      'kvgen bench --format json',
    ],
    notes: `
pp128: prefill of a prompt of 128 tokens. tg32: 32 tokens decoded one by one behind a cache of the given depth;
tg3 without the cache: 3 tokens, each after computing all tokens before it anew.`,
    load: async () => (await import('./bench/bench-command.js')).benchCommand,
  },
  {
    name: 'view',
    description:
      'An HTML page of one run: tokens with their probabilities, what each head looks at, the cache, the time.',
    usage: '[options] [prompt or record.json]',
    maxWords: 1,
    takes: 'files',
    settings: VIEW,
    examples: [
      'kvgen view "Once upon a time"',
      'kvgen view -n 200 --seed 7 -o dragon.html --record dragon.json "The dragon"',
      'kvgen view dragon.json',
    ],
    notes: `
The page is one file and asks for nothing from anywhere. An argument that is a file and ends in .json, or begins as a record
does, is a run that --record wrote (docs/run-record.md), and is drawn again; after -- it is a prompt: kvgen view -- text.json
Attention is of up to 1000 tokens. What each token would take without the cache is measured in texts of up to 256 tokens.`,
    load: async () => (await import('./view/view-command.js')).viewCommand,
  },
  {
    name: 'tokenize',
    description: 'Print the token ids of a text as a JSON array; --decode: the text of ids.',
    usage: '[options] [text]',
    maxWords: 1,
    settings: TOKENIZE,
    examples: [
      'kvgen tokenize "Once upon a time"',
      'kvgen tokenize --view "你好"',
      'kvgen tokenize "Once upon a time" | kvgen tokenize --decode',
    ],
    notes: `
--view shows a space as ␣; what else is invisible, and the bytes of a character that is not whole, as --escape reads them.
Cells have tabs between them. --decode writes the text as it is, and one newline; on a terminal control characters are escaped.`,
    load: async () => (await import('./tokenize/tokenize-command.js')).tokenizeCommand,
  },
  {
    name: 'cache',
    description: 'The prompts and answers that --prompt-cache and --answer-cache have saved.',
    actions: CACHE_ACTIONS,
    usage: '[options] [id or file...]',
    maxWords: 1000,
    settings: CACHE_PLAN,
    shared: { settings: CACHE, except: 'plan' },
    examples: ['kvgen cache ls', 'kvgen cache rm 3f2a', 'kvgen cache clear', 'kvgen cache plan prompts.jsonl'],
    notes: `
ls       what is saved; HITS and SAVED count the runs that reused it, or a part of it
show     one of them, with its files
rm       remove some; what other prompts share stays
clear    remove all, and say how many bytes that was
prune    remove what is too old or too much
path     where it is
stats    by day, and why nothing was found: tokens read instead of computed, written, and removed to make room
plan     of a file of rows for kvgen batch (- for stdin): how many tokens sharing beginnings saves, in which order most

What is sealed is listed with its key only. clear and prune need none.

Environment: KVGEN_CACHE_DIR, KVGEN_CACHE_MAX_BYTES (2147483648), KVGEN_CACHE_MAX_AGE_DAYS (30); KVGEN_CACHE_KEY_FILE (a file
with a key) or KVGEN_CACHE_KEY_COMMAND (a command that prints one).`,
    load: async () => (await import('./cache/cache-command.js')).cacheCommand,
  },
  {
    name: 'models',
    description: "List the models found: in the package, in the user's data directory, in the Hugging Face cache.",
    usage: '[options]',
    maxWords: 0,
    settings: MODELS,
    examples: ['kvgen models', 'kvgen models --json'],
    notes: 'What lies there and would not load is listed with the reason. No weights are read.',
    load: async () => (await import('./models-command.js')).modelsCommand,
  },
  {
    name: 'pull',
    description: 'Fetch a model from the Hugging Face hub into the cache that Python uses too; print its folder.',
    usage: '[options] <name>',
    maxWords: 1,
    settings: PULL,
    examples: [
      'kvgen pull openai-community/gpt2 && kvgen -m gpt2 "The meaning of life is"',
      'kvgen pull owner/name --revision v1.0',
      "kvgen pull owner/name --file '*Q8_0.gguf'",
    ],
    notes: `
A name is owner/name, a name alone where the hub has it so (gpt2), or the address of its page. Fetched is what kvgen reads: the
configuration, the tokenizer, and the weights (safetensors before PyTorch's). What was interrupted goes on where it ended; size
and hash of each file are checked before it gets its name. Nothing that is here already is fetched again.

Environment: HF_TOKEN (for private and gated models; given to the hub alone), HF_ENDPOINT, HF_HOME, HF_HUB_CACHE.`,
    load: async () => (await import('./pull-command.js')).pullCommand,
  },
  {
    name: 'quantize',
    description: 'Write an int8 folder of a model: a quarter of the size of float32, loaded without converting.',
    usage: '[options] <model>',
    maxWords: 1,
    takes: 'models',
    settings: QUANTIZE,
    examples: [
      'kvgen quantize gpt2 -o gpt2-int8',
      'kvgen quantize stories -o ./stories-int8 --perplexity story.txt',
      'kvgen -m ./gpt2-int8 "The meaning of life is"',
    ],
    notes: `
Matrices become 8-bit integers with one scale for each output row; all else stays float32. The folder runs on the simd
backend alone, and gives what --weights int8 gives with the model it was made from, bit for bit. With --perplexity the
loss is that of each document alone where lines <|endoftext|> separate several. The format: docs/int8-format.md.`,
    load: async () => (await import('./quantize/quantize-command.js')).quantizeCommand,
  },
  {
    name: 'setup',
    description: 'Install the native engine now, as npm install does. Exits 1 when there is none at the end.',
    usage: '[options]',
    maxWords: 0,
    settings: {},
    examples: ['kvgen setup'],
    notes: '',
    load: async () => {
      const { setup } = await import('./setup-command.js');
      return ({ terminal, signal }) => setup({ log: (line) => terminal.log(line), signal });
    },
  },
  {
    name: 'doctor',
    description: 'Show what runs here and test it. Exits 1 when something does not work.',
    usage: '[options]',
    maxWords: 0,
    settings: DOCTOR,
    examples: ['kvgen doctor', 'kvgen doctor --bits'],
    notes: '',
    load: async () => (await import('./doctor-command.js')).doctorCommand,
  },
  {
    name: 'completion',
    description: 'Print a completion script for a shell.',
    actions: [...SHELLS, 'models', 'sessions'],
    usage: '',
    maxWords: 1,
    settings: {},
    examples: [
      'kvgen completion bash >> ~/.bashrc',
      'kvgen completion zsh > ~/.zfunc/_kvgen',
      'kvgen completion fish > ~/.config/fish/completions/kvgen.fish',
      'kvgen completion powershell >> $PROFILE',
    ],
    notes: `
\`kvgen completion models\` prints the names that these scripts offer for --model, \`kvgen completion sessions\` those for kvgen chat.`,
    load: async () => (await import('./completion/completion-command.js')).completionCommand(COMMANDS),
  },
];
