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
    run(folder, *common, "--steps", "30", "--decay", "20", "--dropout", "0.1", "--out", folder / out, *args)
    return load_file(folder / out / "model.safetensors")


@pytest.fixture(scope="module")
def whole(folder):
    """The weights of an uninterrupted run."""
    return train_tiny(folder, "whole")


def held_out_loss(folder, model):
    printed = run(folder, "--evaluate", folder / model)
    assert f"({len(HELD_OUT)} documents" in printed
    return float(printed.split()[0])


def test_resumes_bit_for_bit_and_evaluates(folder, whole):
    # The checkpoint before the decay holds no step of it: a run that was stopped there.
    resumed = train_tiny(folder, "resumed", "--resume", folder / "whole/before-decay.pt")
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[k], resumed[k]) for k in whole)
    log, resumed_log = (list(csv.reader(open(folder / out / "loss.csv"))) for out in ("whole", "resumed"))
    assert [row[:5] for row in log] == [row[:5] for row in resumed_log]
    losses = [float(row[3]) for row in log[1:]]
    assert len(losses) == 3 and losses[2] < losses[0] < math.log(300)
    assert held_out_loss(folder, "whole") == pytest.approx(losses[2], abs=0.01)  # float16 now
    assert not list(folder.glob("*/*.new"))


def test_adapts_a_model(folder, whole):
    (folder / "whole/merges.txt").write_text("# the tokenizer's files are taken along")
    run(folder, "--init", folder / "whole", "--out", folder / "adapted", "--steps", "10", "--decay", "10", "--batch", "2")
    assert held_out_loss(folder, "adapted") < held_out_loss(folder, "whole")
    assert (folder / "adapted/merges.txt").exists() and (folder / "adapted/tokenizer.json").exists()


def test_averages_checkpoints(folder, whole):
    run(folder, "--init", folder / "whole", "--out", folder / "other", "--steps", "5", "--decay", "5", "--batch", "2")
    files = [folder / "whole/checkpoint.pt", folder / "other/checkpoint.pt"]
    run(folder, "--init", folder / "whole", "--average", *files, "--out", folder / "mean")
    other, mean = (load_file(folder / name / "model.safetensors") for name in ("other", "mean"))
    for name, weights in mean.items():
        assert torch.allclose(weights.float(), (whole[name].float() + other[name].float()) / 2, atol=2e-3), name


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


def test_hugging_face_reads_the_model(folder, whole):
    transformers = pytest.importorskip("transformers")
    ids = torch.tensor([[0, 5, 9, 200, 17, 3]])
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder / "whole", dtype=torch.float32)
    loss = torch.nn.functional.cross_entropy(theirs(ids[:, :-1]).logits[0], ids[0, 1:])
    ours = train.load_model(folder / "whole").eval()(ids[:, :-1], ids[:, 1:], torch.arange(5)[None])
    assert torch.allclose(loss, ours, atol=1e-4)
