"""Smoke test of train.py on tiny data: `python -m pytest test_train.py`, under a minute."""

import csv, hashlib, json, math, subprocess, sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import ByteLevelBPETokenizer

import train

HERE = Path(__file__).parent
NAMES, THINGS = ["Tom", "Lily", "Ben", "Mia"], ["a red ball", "an old boat", "one small cake", "a blue kite"]
STORIES = [
    f"One day, {a} and {b} found {x} under a tree.\n\nThey gave it to {c}, who was very happy. The end."
    for a in NAMES for b in NAMES for c in NAMES for x in THINGS if len({a, b, c}) == 3
]
HELD_OUT = STORIES[::10]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts, a list of held-out documents, and the shape and tokenizer of a tiny model."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "stories.txt").write_text("".join(f"{s}\n<|endoftext|>\n" for s in ["Too short", *STORIES]))
    (folder / "held-out.txt").write_text("".join(sha(s) + "\n" for s in HELD_OUT))
    bpe = ByteLevelBPETokenizer()
    bpe.train(str(folder / "stories.txt"), vocab_size=300, special_tokens=[train.END], show_progress=False)
    (folder / "tiny").mkdir()
    bpe.save(str(folder / "tiny" / "tokenizer.json"))
    shape = dict(n_layer=2, n_embd=32, n_head=2, n_positions=64, vocab_size=300)
    config = dict(shape, layer_norm_epsilon=1e-5, resid_pdrop=0.0, model_type="gpt2", architectures=["GPT2LMHeadModel"])
    (folder / "tiny" / "config.json").write_text(json.dumps(config))
    return folder


def run(folder, *args):
    command = [sys.executable, HERE / "train.py", folder / "stories.txt", "--held-out", folder / "held-out.txt"]
    done = subprocess.run([*command, "--threads", "1", *args], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_tiny(folder, out, *args):
    common = ["--config", folder / "tiny", "--batch", "4", "--warmup", "2", "--log-every", "10"]
    run(folder, *common, "--dropout", "0.1", "--out", folder / out, *args)
    return load_file(folder / out / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_trains_resumes_and_evaluates(folder):
    whole = train_tiny(folder, "whole", "--steps", "30", "--decay", "20")
    assert same(whole, train_tiny(folder, "again", "--steps", "30", "--decay", "20"))
    assert not same(whole, train_tiny(folder, "other", "--steps", "30", "--decay", "20", "--seed", "1"))

    # The checkpoint before the decay has no step of it, so a run that stopped there goes on as if it had not.
    resumed = train_tiny(folder, "resumed", "--steps", "30", "--decay", "20", "--resume", folder / "whole/before-decay.pt")
    assert same(whole, resumed)
    log = [list(csv.reader(open(folder / out / "loss.csv"))) for out in ("whole", "resumed")]
    assert [row[:5] for row in log[0]] == [row[:5] for row in log[1]]
    held = [float(row[3]) for row in log[0][1:]]
    assert len(held) == 3 and held[2] < held[0] < math.log(300)
    assert not list(folder.glob("*/*.new"))

    printed = run(folder, "--evaluate", folder / "whole")
    assert float(printed.split()[0]) == pytest.approx(held[-1], abs=0.01)  # float16 now
    assert f"({len(HELD_OUT)} documents" in printed


def test_adapts_a_model(folder):
    train_tiny(folder, "start", "--steps", "10", "--decay", "5")
    (folder / "start" / "merges.txt").write_text("# the tokenizer's files are taken along\n")
    run(folder, "--init", folder / "start", "--out", folder / "adapted", "--steps", "10", "--decay", "10", "--batch", "2")
    losses = [float(run(folder, "--evaluate", folder / m).split()[0]) for m in ("start", "adapted")]
    assert losses[1] < losses[0]
    assert (folder / "adapted/merges.txt").exists() and (folder / "adapted/tokenizer.json").exists()


def test_held_out_documents_are_never_packed(folder):
    documents = train.read_documents(folder / "stories.txt")
    kept, out = train.split_held_out(documents, {sha(s) for s in HELD_OUT})
    assert out == HELD_OUT and kept == [s for s in STORIES if s not in HELD_OUT]


def test_packing_keeps_every_token_once_and_documents_whole():
    sequences = [[0, *range(1, n), 0] for n in (5, 30, 7, 12, 3, 40)]
    tokens, targets, positions = train.pack(sequences, 16)
    assert sorted(targets[targets != train.IGNORE]) == sorted(t for s in sequences for t in s[1:])
    assert len(tokens) == 7  # 101 targets in rows of 16
    for row, goal in zip(tokens, targets):
        for i in range(15):
            if goal[i] not in (0, train.IGNORE) and row[i + 1] != 0:
                assert row[i + 1] == goal[i]
    assert set(positions[tokens == 0]) == {0}


def test_no_token_sees_another_document(folder):
    model = train.GPT(json.loads((folder / "tiny/config.json").read_text())).eval()
    one, two = [0, 5, 6, 7, 0], [0, 8, 9, 0]
    alone = [model(*(torch.from_numpy(a) for a in train.pack([s], 8)), reduction="sum") for s in (one, two)]
    packed = model(*(torch.from_numpy(a) for a in train.pack([one, two], 8)), reduction="sum")
    assert torch.allclose(alone[0] + alone[1], packed, atol=1e-4)


def test_every_token_of_a_document_is_scored_once():
    for length in (2, 17, 18, 24, 25, 40, 100):
        windows = train.score_windows(list(range(length)), 16, 8)
        scored = [t for piece, fresh in windows for t in piece[-fresh:]]
        assert scored == list(range(1, length))


def test_hugging_face_reads_the_model(folder):
    transformers = pytest.importorskip("transformers")
    train_tiny(folder, "hf", "--steps", "5", "--decay", "0")
    ids = torch.tensor([[0, 5, 9, 200, 17, 3]])
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder / "hf", dtype=torch.float32)(ids[:, :-1]).logits[0]
    ours = train.load_model(folder / "hf").eval()(ids[:, :-1], ids[:, 1:], torch.arange(5)[None])
    assert torch.allclose(torch.nn.functional.cross_entropy(theirs, ids[0, 1:]), ours, atol=1e-4)
