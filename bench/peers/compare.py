"""Runs kvgen and its peers in turns and prints a Markdown table per size: tokens a second, medians over the rounds.
Every row runs in a process of its own in each round, so that a busy minute hits all alike. A peer is left out when
its folder is not given.

    python compare.py [threads] [--gguf DIR] [--onnx DIR] [--rounds 3] [--sizes 124M,stories] [--kinds F32,Q8_0]
        [--kvgen="--backend node"] [--kvgen="--backend cpu"] [--llama-cpp=""] [--llama-cpp="--no-flash"] [--lines FILE]

`--kvgen` gives kvgen's row more arguments; once per row. `--llama-cpp` gives llama_cpp_bench.py more arguments; once
per row of each kind. The number of threads is the peers': kvgen chooses its own, unless its arguments say. `--lines`
appends what every process printed to a file.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from options import add_kinds, add_sizes, add_threads
from sizes import GEN_TOKENS, POINTS

HERE = Path(__file__).resolve().parent
KVGEN = HERE / "../../bin/kvgen.js"
BANDWIDTH = HERE / "../bandwidth.mjs"
KVGEN_MODELS = {"124M": "random:124M", "6x256": "random:6x256", "stories": "stories"}
LLAMA_CPP = ("F32", "Q8_0", "Q4_0")
ONNXRUNTIME = ("F32", "int8")
SEQUENCES = 8


def kvgen_command(size, extra):
    points = POINTS[size]
    depths = ",".join(map(str, points["depths"]))
    fixed = ["--depth", depths, "--gen-tokens", GEN_TOKENS, "--prompt-tokens", points["prompt_tokens"]]
    command = ["node", KVGEN, "bench", "-m", KVGEN_MODELS[size], *fixed, "--cached-only", "--format", "jsonl"]
    return [*map(str, command), *shlex.split(extra)]


def peer_commands(script, folder, kinds, extras, size, args):
    """A command for each kind and each of `extras`."""
    for kind in kinds:
        if folder and kind in args.kinds:
            command = [sys.executable, str(HERE / script), str(folder), str(args.threads)]
            for extra in extras:
                yield [*command, "--sizes", size, "--kinds", kind, *shlex.split(extra)]


def contestants(size, args):
    """For each row of the table kvgen's arguments (None: a peer) and the command."""
    yield from ((extra, kvgen_command(size, extra)) for extra in args.kvgen)
    for command in (
        *peer_commands("llama_cpp_bench.py", args.gguf, LLAMA_CPP, args.llama_cpp, size, args),
        *peer_commands("onnxruntime_bench.py", args.onnx, ONNXRUNTIME, [""], size, args),
    ):
        yield None, command


def json_lines(command):
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def row_name(extra, line):
    """A peer names itself; kvgen's row has its arguments, and how it computed with them."""
    if extra is None:
        return line["peer"]
    how = [line["backend"], line["engine"], line.get("weights"), f"threads: {line['threads']}"]
    return f"kvgen {extra} ({', '.join(part for part in how if part)})".replace("  ", " ")


def measure(size, args):
    """Row to point to the numbers of all rounds, and the memory's GB/s of all rounds."""
    rows, bandwidth = {}, []
    for round in range(args.rounds):
        bandwidth.append(json_lines(["node", str(BANDWIDTH)])[0]["gb_per_s_best"])
        for extra, command in contestants(size, args):
            print(f"{size}, round {round + 1}/{args.rounds}: {shlex.join(command[1:])}", file=sys.stderr)
            for line in json_lines(command):
                point = line["name"], line["depth"]
                rows.setdefault(row_name(extra, line), {}).setdefault(point, []).append(line["tps_median"])
                save(line, args.lines)
    return rows, bandwidth


def save(line, path):
    if path:
        with path.open("a") as file:
            print(json.dumps(line), file=file)


def columns(size, rows):
    """Heading and point; the parallel sequences only where someone measured them."""
    points = POINTS[size]
    prompt = points["prompt_tokens"]
    yield from ((f"decode at {depth}", (f"tg{GEN_TOKENS}", depth)) for depth in points["depths"])
    yield f"prefill of {prompt}", (f"pp{prompt}", 0)
    parallel = {point for row in rows.values() for point in row if point[0] == f"tg{GEN_TOKENS}x{SEQUENCES}"}
    yield from ((f"{SEQUENCES} sequences at {point[1]}", point) for point in parallel)


def cell(numbers):
    if not numbers:
        return ""
    median = statistics.median(numbers)
    return f"{median:,.1f}" if median < 100 else f"{median:,.0f}"


def print_table(size, rows, bandwidth):
    print(f"\n### {size}\n\nMemory: {statistics.median(bandwidth):.1f} GB/s.\n")
    headings, points = zip(*columns(size, rows))
    print(f"| tokens a second | {' | '.join(headings)} |")
    print(f"|---|{'---:|' * len(headings)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(cell(row.get(point)) for point in points)} |", flush=True)


def options():
    parser = argparse.ArgumentParser()
    add_threads(parser)
    add_sizes(parser)
    add_kinds(parser, tuple(dict.fromkeys((*LLAMA_CPP, *ONNXRUNTIME))))
    parser.add_argument("--gguf", type=Path, metavar="DIR", help="what export_gguf.py wrote")
    parser.add_argument("--onnx", type=Path, metavar="DIR", help="what export_onnx.py --int8 wrote")
    parser.add_argument("--kvgen", action="append", metavar="ARGS", help='a row of kvgen (default: one of "")')
    parser.add_argument("--llama-cpp", action="append", metavar="ARGS", help='rows of llama.cpp (default: one of "")')
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.kvgen = args.kvgen or [""]
    args.llama_cpp = args.llama_cpp or [""]
    return args


def main():
    args = options()
    for size in args.sizes:
        print_table(size, *measure(size, args))


main()
