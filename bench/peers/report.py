"""Times points and prints each as a JSON line; the same form for every peer."""

import json
import statistics
import time

from sizes import GEN_TOKENS, POINTS, REPEAT, prompt_ids


def report_points(peer, name, threads, decode, prefill):
    """Every point of a size. `decode(ids, depth)` and `prefill(ids)` give the seconds that the model took."""
    points = POINTS[name]
    config, prompt = points["config"], points["prompt_tokens"]
    ids = prompt_ids(config["n_positions"], config["vocab_size"])
    for depth in points["depths"]:
        run = lambda depth=depth: decode(ids[: depth + GEN_TOKENS], depth)
        report(peer, name, f"tg{GEN_TOKENS}", depth, GEN_TOKENS, run, threads)
    report(peer, name, f"pp{prompt}", 0, prompt, lambda: prefill(ids[:prompt]), threads)


def report(peer, size, name, depth, tokens, run, threads, repeat=REPEAT):
    """`run()` does the work once and returns the seconds that the model took; the first run warms up."""
    run()
    seconds = [run() for _ in range(repeat)]
    tps = [tokens / s for s in seconds]
    line = {
        "peer": peer,
        "size": size,
        "name": name,
        "depth": depth,
        "tokens": tokens,
        "threads": threads,
        "tps_median": round(statistics.median(tps), 2),
        "tps_max": round(max(tps), 2),
        "ms_per_token": round(1000 / statistics.median(tps), 3),
    }
    print(json.dumps(line), flush=True)


class Clock:
    """Adds up the time inside `with` blocks."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *_):
        self.seconds += time.perf_counter() - self._start
