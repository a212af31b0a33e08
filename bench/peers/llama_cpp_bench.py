"""llama.cpp through llama-cpp-python: float32, Q8_0 and Q4_0. Its keys and values are float16, and it chooses itself
whether to use flash attention: both as it comes. `--no-flash` turns flash attention off; `--cache f32` does so too, and
keeps the keys and values in float32, with which flash attention is several times slower.

    python llama_cpp_bench.py DIR_OF_EXPORT [threads] [--sizes 124M,stories] [--kinds Q8_0] [--cache f16|f32]
        [--no-flash]
"""

import llama_cpp
from llama_cpp_model import CACHES, clear, open_context, open_model, run_batch, run_ids
from options import export_parser, measure_all
from report import Clock, report, report_points
from sizes import GEN_TOKENS, SIZES, prompt_ids

KINDS = ("F32", "Q8_0", "Q4_0")
SEQUENCES = 8
SHORT_PROMPT = 32
PARALLEL_SIZES = ("124M",)
FLASH_ATTENTION_OFF = 0


def open_as_asked(model, args, **settings):
    if args.no_flash:
        settings["flash_attn_type"] = FLASH_ATTENTION_OFF
    return open_context(model, args.threads, args.cache, **settings)


def prefill(context, ids):
    clear(context)
    clock = Clock()
    with clock:
        run_ids(context, ids)
    return clock.seconds


def decode(context, ids, depth):
    """Reads `depth` ids, then the others one by one."""
    clear(context)
    run_ids(context, ids[:depth])
    clock = Clock()
    for id in ids[depth:]:
        with clock:
            run_ids(context, [id])
    return clock.seconds


class Batch:
    """Room for `tokens` of any sequences."""

    def __init__(self, tokens):
        self.batch = llama_cpp.llama_batch_init(tokens, 0, 1)

    def fill(self, rows):
        """Rows of id, position and sequence; the logits of all are wanted."""
        self.batch.n_tokens = len(rows)
        for i, (id, position, sequence) in enumerate(rows):
            self.batch.token[i] = id
            self.batch.pos[i] = position
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = sequence
            self.batch.logits[i] = True
        return self.batch

    def free(self):
        llama_cpp.llama_batch_free(self.batch)


def decode_parallel(context, batch, ids):
    """Each sequence reads a short prompt, then all go on together, a token of each in a batch."""
    clear(context)
    for sequence in range(SEQUENCES):
        run_batch(context, batch.fill([(id, i, sequence) for i, id in enumerate(ids[:SHORT_PROMPT])]))
    clock = Clock()
    for position in range(SHORT_PROMPT, SHORT_PROMPT + GEN_TOKENS):
        with clock:
            run_batch(context, batch.fill([(ids[position], position, s) for s in range(SEQUENCES)]))
    return clock.seconds


def measure_parallel(peer, name, model, args):
    """The tokens of all sequences count."""
    room = SEQUENCES * (SHORT_PROMPT + GEN_TOKENS)
    context = open_as_asked(model, args, n_ctx=room, n_seq_max=SEQUENCES)
    batch = Batch(SHORT_PROMPT)
    ids = prompt_ids(SHORT_PROMPT + GEN_TOKENS, SIZES[name]["vocab_size"])
    run = lambda: decode_parallel(context, batch, ids)
    point = f"tg{GEN_TOKENS}x{SEQUENCES}"
    report(peer, name, point, SHORT_PROMPT, SEQUENCES * GEN_TOKENS, run, args.threads)
    batch.free()
    llama_cpp.llama_free(context)


def measure(name, kind, args):
    model = open_model(args.folder / f"{name}-{kind}.gguf")
    flash = ", no flash attention" if args.no_flash else ""
    peer = f"llama.cpp {kind}, {args.cache} cache{flash}, llama-cpp-python {llama_cpp.__version__}"
    context = open_as_asked(model, args)
    decode_here = lambda ids, depth: decode(context, ids, depth)
    report_points(peer, name, args.threads, decode_here, lambda ids: prefill(context, ids))
    llama_cpp.llama_free(context)
    if name in PARALLEL_SIZES:
        measure_parallel(peer, name, model, args)
    llama_cpp.llama_model_free(model)


def options():
    parser = export_parser(KINDS)
    parser.add_argument("--cache", choices=CACHES, default="f16", help="type of the keys and values (default: f16)")
    parser.add_argument("--no-flash", action="store_true", help="no flash attention")
    args = parser.parse_args()
    args.no_flash = args.no_flash or args.cache == "f32"
    return args


measure_all(options(), measure)
