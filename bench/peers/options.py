"""What the scripts take from the command line; the same words for every peer."""

import argparse
import os
from pathlib import Path

from sizes import SIZES


def some_of(names):
    """Reads a list like `124M,stories` and refuses what is not in `names`."""

    def parse(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(names)}")
        return chosen

    return parse


def add_list(parser, option, names, help):
    parser.add_argument(option, type=some_of(list(names)), default=list(names), metavar="LIST", help=help)


def add_sizes(parser):
    add_list(parser, "--sizes", SIZES, f"some of {','.join(SIZES)} (default: all)")


def add_kinds(parser, kinds):
    add_list(parser, "--kinds", kinds, f"some of {','.join(kinds)} (default: all)")


def add_threads(parser):
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("threads", nargs="?", type=int, default=cores, help="default: all cores")


def export_parser(kinds):
    """For what measures files of an export, several kinds of each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    add_threads(parser)
    add_sizes(parser)
    add_kinds(parser, kinds)
    return parser


def measure_all(args, measure):
    for name in args.sizes:
        for kind in args.kinds:
            measure(name, kind, args)
