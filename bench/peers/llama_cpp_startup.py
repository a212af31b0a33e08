"""From the start of a process to llama.cpp's first token, the likeliest one, for a prompt of N ids. Each run is a new
process; in turns with one that only imports llama-cpp-python, since a program of llama.cpp's own would be spared that.
Prints one JSON line.

    python llama_cpp_startup.py GGUF N_PROMPT [threads] [--runs 10]
"""

import sys

CHILD = "--child"


def first_token(path, prompt_tokens, threads):
    import llama_cpp
    from llama_cpp_model import open_context, open_model, run_ids, vocab_size
    from sizes import prompt_ids

    model = open_model(path)
    context = open_context(model, threads)
    run_ids(context, prompt_ids(prompt_tokens, vocab_size(model)))
    return llama_cpp.llama_sampler_sample(llama_cpp.llama_sampler_init_greedy(), context, -1)


def child(path=None, prompt_tokens=0, threads=0):
    """With no model: the import alone."""
    if path is None:
        import llama_cpp  # noqa: F401

        print("imported", flush=True)
    else:
        print(first_token(path, int(prompt_tokens), int(threads)), flush=True)


def milliseconds_to_output(*args):
    import subprocess
    import time

    start = time.perf_counter()
    command = [sys.executable, __file__, CHILD, *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        byte = process.stdout.read(1)
        seconds = time.perf_counter() - start
        process.stdout.read()
    if not byte or process.returncode != 0:
        raise RuntimeError("the measured process failed")
    return 1000 * seconds


def options():
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("prompt_tokens", type=int)
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("--runs", type=int, default=10)
    return parser.parse_args()


def main():
    import json
    import statistics

    args = options()
    imports, firsts = [], []
    for _ in range(args.runs):
        imports.append(milliseconds_to_output())
        firsts.append(milliseconds_to_output(args.gguf, args.prompt_tokens, args.threads))
    times = {
        "ms_median": statistics.median(firsts),
        "ms_best": min(firsts),
        "import_ms_median": statistics.median(imports),
        "import_ms_best": min(imports),
    }
    line = {"gguf": args.gguf, "prompt_tokens": args.prompt_tokens, "threads": args.threads, "runs": args.runs}
    print(json.dumps({**line, **{name: round(ms, 1) for name, ms in times.items()}}))


if sys.argv[1:2] == [CHILD]:
    child(*sys.argv[2:])
else:
    main()
