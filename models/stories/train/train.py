"""Train, adapt or evaluate a small GPT-2 on plain text files, on a CPU. See README.md."""

import argparse, hashlib, json, math, os, shutil, signal, sys, time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

END = "<|endoftext|>"
IGNORE = -100  # target of padding: cross_entropy leaves it out
SHORTEST = 61  # characters; shorter documents are mostly titles and debris
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "generation_config.json")
COUNTERS = ("step", "tokens", "seconds", "losses", "log")
LOG_HEADER = ("step", "tokens", "train_loss", "held_out_loss", "lr", "seconds")
ALLOCATOR = {  # keep big buffers, in huge pages: without this a step takes twice the time
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def write(path, writer):
    """Write under another name, then rename: a file is the old or the new one, never a half."""
    writer(f"{path}.new")
    os.replace(f"{path}.new", path)


# ---- texts ----------------------------------------------------------------------------------


def read_documents(path):
    """The documents of a text file, in which each ends with a line <|endoftext|>."""
    blocks = Path(path).read_text(encoding="utf-8").split(END)
    return [text for text in (block.strip() for block in blocks) if len(text) >= SHORTEST]


def split_held_out(documents, held_out):
    """Documents to train on, and those whose SHA-256 is listed."""
    listed = [hashlib.sha256(text.encode()).hexdigest() in held_out for text in documents]
    train = [text for text, out in zip(documents, listed) if not out]
    return train, [text for text, out in zip(documents, listed) if out]


def encode(tokenizer, documents):
    """Token ids of each document, with the end-of-text token before and after it."""
    end = tokenizer.token_to_id(END)
    return [[end, *e.ids, end] for e in tokenizer.encode_batch(documents, add_special_tokens=False)]


def pack(sequences, width):
    """Whole documents side by side in rows of `width` positions, so that nearly every token is
    learned with all of its document before it. Returns arrays of tokens, targets and positions;
    the position starts again at 0 with each document, which also marks where it starts."""
    pieces = [s[i : i + width + 1] for s in sequences for i in range(0, len(s) - 1, width)]
    pieces.sort(key=len, reverse=True)  # best fit, longest first: almost no padding
    rows, with_room = [], [[] for _ in range(width + 1)]
    for piece in pieces:
        need = len(piece) - 1
        room = next((r for r in range(need, width + 1) if with_room[r]), None)
        row = [] if room is None else with_room[room].pop()
        if room is None:
            rows.append(row)
        row.append(piece)
        with_room[(width if room is None else room) - need].append(row)
    tokens, positions = np.zeros((2, len(rows), width), np.int64)
    targets = np.full((len(rows), width), IGNORE, np.int64)
    for r, row in enumerate(rows):
        start = 0
        for piece in row:
            span = slice(start, start := start + len(piece) - 1)
            tokens[r, span], targets[r, span] = piece[:-1], piece[1:]
            positions[r, span] = np.arange(len(piece) - 1)
    return tokens, targets, positions


class Mixture:
    """Rows of several texts in given shares; each text is gone through in a new order per epoch.
    Its whole state is how many rows of each text were drawn."""

    def __init__(self, texts, seed):
        self.texts, self.seed = texts, seed
        self.drawn = [0] * len(texts)
        self.owed = [0.0] * len(texts)
        self.orders = {}

    def next_row(self, shares):
        """The next row of the text that is furthest behind its share."""
        self.owed = [owed + share / sum(shares) for owed, share in zip(self.owed, shares)]
        t = max(range(len(self.texts)), key=lambda i: self.owed[i])
        rows = len(self.texts[t][0])
        epoch, index = divmod(self.drawn[t], rows)
        if (t, epoch) not in self.orders:
            self.orders[t, epoch] = np.random.default_rng([self.seed, t, epoch]).permutation(rows)
        self.drawn[t] += 1
        self.owed[t] -= 1
        return [array[self.orders[t, epoch][index]] for array in self.texts[t]]

    def batch(self, size, shares):
        rows = [self.next_row(shares) for _ in range(size)]
        return [torch.from_numpy(np.stack(arrays)) for arrays in zip(*rows)]


# ---- model ----------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c["n_head"]
        self.c_attn = nn.Linear(c["n_embd"], 3 * c["n_embd"])
        self.c_proj = nn.Linear(c["n_embd"], c["n_embd"])

    def forward(self, x, mask):
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (part.view(split).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.c_proj(y.transpose(1, 2).reshape(batch, length, width))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c_fc = nn.Linear(c["n_embd"], 4 * c["n_embd"])
        self.c_proj = nn.Linear(4 * c["n_embd"], c["n_embd"])

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # GPT-2's gelu_new


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.ln_2 = (nn.LayerNorm(c["n_embd"], c["layer_norm_epsilon"]) for _ in "12")
        self.attn, self.mlp = Attention(c), MLP(c)
        self.drop = nn.Dropout(c["resid_pdrop"])

    def forward(self, x, mask):
        x = x + self.drop(self.attn(self.ln_1(x), mask))
        return x + self.drop(self.mlp(self.ln_2(x)))


class GPT(nn.Module):
    """GPT-2 with Hugging Face's parameter names; the head is the embedding (tied)."""

    def __init__(self, c):
        super().__init__()
        self.config = c
        self.wte = nn.Embedding(c["vocab_size"], c["n_embd"])
        self.wpe = nn.Embedding(c["n_positions"], c["n_embd"])
        self.h = nn.ModuleList(Block(c) for _ in range(c["n_layer"]))
        self.ln_f = nn.LayerNorm(c["n_embd"], c["layer_norm_epsilon"])
        for name, p in self.named_parameters():
            if p.dim() == 2:  # as GPT-2: what is added to the residual stream starts smaller
                residual = name.endswith("c_proj.weight")
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * c["n_layer"] if residual else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, tokens, targets, positions, reduction="mean"):
        """Cross-entropy of the targets. No token sees another document of its row."""
        steps = torch.arange(tokens.shape[1])
        first = steps - positions  # where each token's document starts: the same for all of it
        mask = (first[:, None, :, None] == first[:, None, None, :]) & (steps[:, None] >= steps)
        x = self.wte(tokens) + self.wpe(positions)
        for block in self.h:
            x = block(x, mask)
        logits = F.linear(self.ln_f(x), self.wte.weight).float()
        targets = targets.flatten()
        return F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORE, reduction=reduction)


def conv1d(name):
    """Hugging Face's GPT-2 keeps these matrices the other way round (Conv1D)."""
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def load_model(folder, dropout=0.0):
    """A model from a Hugging Face folder; its weights may be float16, training is in float32."""
    model = GPT(json.loads((Path(folder) / "config.json").read_text()) | {"resid_pdrop": dropout})
    weights = {k.removeprefix("transformer."): v for k, v in load_file(Path(folder) / "model.safetensors").items()}
    for name, p in model.named_parameters():
        p.data.copy_(weights[name].T if conv1d(name) else weights[name])
    return model


def save_model(model, folder, tokenizer_folder):
    """A Hugging Face folder. Names without a prefix, and n_ctx, are what mlx-lm and llama.cpp's converter look for."""
    folder = Path(folder)
    weights = {
        name: (p.T if conv1d(name) else p).to(torch.float16).contiguous()
        for name, p in model.state_dict().items()
    }
    write(folder / "model.safetensors", lambda path: save_file(weights, path, metadata={"format": "pt"}))
    config = {**model.config, "n_ctx": model.config["n_positions"], "dtype": "float16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in TOKENIZER_FILES:
        source = Path(tokenizer_folder) / name
        if source.exists() and source.resolve() != (folder / name).resolve():
            shutil.copyfile(source, folder / name)


# ---- optimizer ------------------------------------------------------------------------------


def orthogonalize(m):
    """The nearest orthogonal matrices, roughly: five Newton-Schulz steps of Muon."""
    m = m / (m.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        s = m @ m.mT
        m = 3.4445 * m + (-4.7750 * s + 2.0315 * s @ s) @ m
    return m


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalized, for the matrices of the blocks. Query, key and value
    are three matrices; matrices of one shape are done together, which is faster on a CPU."""

    def __init__(self, params, lr=0.02, momentum=0.95, decay=0.05):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(average, group["momentum"])  # Nesterov
                parts = 3 if p.shape[0] == 3 * p.shape[1] else 1
                for w, u in zip(p.chunk(parts), update.chunk(parts)):
                    tall = w.shape[0] > w.shape[1]
                    w, u = (w.mT, u.mT) if tall else (w, u)
                    by_shape.setdefault((w.shape, tall), []).append((w, u))
            for (shape, tall), pairs in by_shape.items():
                scale = math.sqrt(shape[1] / shape[0]) if tall else 1.0
                for (w, _), step in zip(pairs, orthogonalize(torch.stack([u for _, u in pairs]))):
                    w.mul_(1 - group["lr"] * group["decay"]).add_(step, alpha=-group["lr"] * scale)


def make_optimizers(model, args):
    matrices = [p for p in model.h.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2] + [model.wte.weight, model.wpe.weight]
    adam = torch.optim.Adam(others, lr=args.adam_lr, betas=(0.9, 0.95))
    return [Muon(matrices, lr=args.lr, decay=args.weight_decay), adam]


def rate(step, args):
    """Share of the full learning rate: warm-up, flat, then linear down to 2 %."""
    left = (args.steps - step) / max(1, args.decay)
    return min(1.0, (step + 1) / max(1, args.warmup), 0.02 + 0.98 * left)


# ---- evaluation -----------------------------------------------------------------------------


def score_windows(sequence, width, stride):
    """Windows over one document of which each token is scored once, with all it has before it
    in its window: the first window whole, then the last `stride` positions of each."""
    windows, scored = [], 0
    for start in range(0, len(sequence) - 1, stride):
        piece = sequence[start : start + width + 1]
        fresh = start + len(piece) - 1 - scored
        windows.append((piece, fresh))
        scored += fresh
        if scored == len(sequence) - 1:
            return windows


@torch.no_grad()
def evaluate(model, tokenizer, documents, batch=16):
    """Nats per token and bits per byte: each document alone after an end-of-text token, the
    closing one included, mean over all tokens."""
    width = model.config["n_positions"]
    windows = [w for s in encode(tokenizer, documents) for w in score_windows(s, width, width // 2)]
    windows.sort(key=lambda w: len(w[0]))
    model.eval()
    nats = 0.0
    for i in range(0, len(windows), batch):
        some = windows[i : i + batch]
        length = max(len(piece) for piece, _ in some) - 1
        tokens, positions = torch.zeros((2, len(some), length), dtype=torch.long)
        targets = torch.full((len(some), length), IGNORE)
        for row, (piece, fresh) in enumerate(some):
            n = len(piece) - 1
            tokens[row, :n], positions[row, :n] = torch.tensor(piece[:-1]), torch.arange(n)
            targets[row, n - fresh : n] = torch.tensor(piece[-fresh:])
        nats += model(tokens, targets, positions, reduction="sum").item()
    model.train()
    count = sum(fresh for _, fresh in windows)
    size = sum(len(text.encode()) for text in documents)
    return nats / count, nats / math.log(2) / size, count


# ---- training -------------------------------------------------------------------------------


class Run:
    """A training run: everything a checkpoint must hold to go on bit for bit."""

    def __init__(self, args, model, mixture):
        self.args, self.model, self.mixture = args, model, mixture
        self.optimizers = make_optimizers(model, args)
        self.step, self.tokens, self.seconds, self.losses, self.log = 0, 0, 0.0, [], []
        self.stopped = False

    def save(self, name="checkpoint.pt"):
        state = {k: getattr(self, k) for k in COUNTERS}
        state["mixture"] = {"drawn": self.mixture.drawn, "owed": self.mixture.owed}
        state["model"] = self.model.state_dict()
        state["optimizers"] = [o.state_dict() for o in self.optimizers]
        write(Path(self.args.out) / name, lambda path: torch.save(state, path))

    def resume(self, path):
        state = torch.load(path, weights_only=True)
        for k in COUNTERS:
            setattr(self, k, state[k])
        self.mixture.drawn, self.mixture.owed = state["mixture"]["drawn"], state["mixture"]["owed"]
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)

    def train_step(self, loss_of):
        args = self.args
        torch.manual_seed(args.seed * 1_000_003 + self.step)  # dropout, the same after a resume
        for optimizer, lr in zip(self.optimizers, (args.lr, args.adam_lr)):
            optimizer.param_groups[0]["lr"] = lr * rate(self.step, args)
        late = self.step >= args.steps - args.late
        shares = args.late_mix if late and args.late_mix else args.mix
        tokens, targets, positions = self.mixture.batch(args.batch, shares)
        loss = loss_of(tokens, targets, positions)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.tokens += int((targets != IGNORE).sum())
        return loss.item()

    def report(self, tokenizer, held_out):
        held = evaluate(self.model, tokenizer, held_out)[0] if held_out else math.nan
        lr = self.args.lr * rate(self.step - 1, self.args)
        row = [self.step, self.tokens, sum(self.losses) / len(self.losses), held, lr, self.seconds]
        self.log.append([round(x, 5) for x in row])
        self.losses = []
        print(dict(zip(LOG_HEADER, self.log[-1])), flush=True)
        lines = [",".join(map(str, row)) + "\n" for row in (LOG_HEADER, *self.log)]
        write(Path(self.args.out) / "loss.csv", lambda path: Path(path).write_text("".join(lines)))

    def train(self, tokenizer, held_out):
        args, saved = self.args, time.monotonic()
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopped", True))
        loss_of = torch.compile(self.model) if args.compile else self.model
        while self.step < args.steps and not self.stopped:
            started = time.monotonic()
            self.losses.append(self.train_step(loss_of))
            self.seconds += time.monotonic() - started
            last = self.step == args.steps
            if last or self.step % args.log_every == 0:
                self.report(tokenizer, held_out)
            if last or self.stopped or time.monotonic() - saved > 60 * args.save_minutes:
                self.save()
                saved = time.monotonic()
            if self.step == args.steps - args.decay:
                self.save("before-decay.pt")  # from here a longer run can go on at the full rate


def average(model, files):
    """The mean of the weights of several checkpoints: it generalizes better than any one of them."""
    states = [torch.load(path, weights_only=True)["model"] for path in files]
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    return model


# ---- command line ---------------------------------------------------------------------------


def restart_with(environment):
    """The allocator reads its settings at the start of a process, so start once more with them."""
    if any(name not in os.environ for name in environment):
        os.environ.update({**environment, **os.environ})
        os.execv(sys.executable, [sys.executable, *sys.argv])


def parse_args():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("texts", nargs="+", help="text files, documents ending with a line <|endoftext|>")
    p.add_argument("--held-out", help="file of SHA-256 of documents to evaluate on, never to train on")
    p.add_argument("--evaluate", metavar="FOLDER", help="only print the held-out loss of this model")
    p.add_argument("--average", metavar="FILE", nargs="+", help="only write the mean of these checkpoints")
    p.add_argument("--init", metavar="FOLDER", help="start from this model, not from random weights")
    p.add_argument("--config", metavar="FOLDER", help="take the shape from here if there is no --init")
    p.add_argument("--tokenizer", metavar="FOLDER", help="default: that of the model")
    p.add_argument("--out", help="folder for the model, loss.csv and checkpoints")
    p.add_argument("--resume", metavar="FILE", help="go on from this checkpoint, if it exists")
    p.add_argument("--mix", type=float, nargs="+", help="share of each text; default: by its tokens")
    p.add_argument("--late-mix", type=float, nargs="+", help="shares in the last --late steps")
    p.add_argument("--late", type=int, default=0)
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--warmup", type=int, default=50)
    p.add_argument("--decay", type=int, default=500, help="last steps, over which the rate goes down")
    p.add_argument("--batch", type=int, default=8, help="rows of as many tokens as the model has positions")
    p.add_argument("--lr", type=float, default=0.02, help="of Muon, for the matrices of the blocks")
    p.add_argument("--adam-lr", type=float, default=3e-3, help="of Adam, for all the rest")
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--log-every", type=int, default=100)
    p.add_argument("--save-minutes", type=float, default=10)
    p.add_argument("--compile", action="store_true", help="torch.compile: faster after a minute")
    return p.parse_args()


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, changes nothing here
    torch.manual_seed(args.seed)
    start = args.evaluate or args.init
    config = json.loads((Path(start or args.config) / "config.json").read_text())
    tokenizer_folder = Path(args.tokenizer or start or args.config)
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    listed = set(Path(args.held_out).read_text().split()) if args.held_out else set()
    pairs = [split_held_out(read_documents(path), listed) for path in args.texts]
    held_out = [text for _, out in pairs for text in out]
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)
    if args.average:
        save_model(average(load_model(start), args.average), args.out, tokenizer_folder)
    if args.average or args.evaluate:
        nats, bits, count = evaluate(load_model(args.evaluate or args.out), tokenizer, held_out)
        print(f"{nats:.4f} nats per token, {bits:.4f} bits per byte ({len(held_out)} documents, {count} tokens)")
        return
    texts = [pack(encode(tokenizer, train), config["n_positions"]) for train, _ in pairs]
    args.mix = args.mix or [len(tokens) for tokens, _, _ in texts]
    print("rows of each text:", [len(tokens) for tokens, _, _ in texts], "held out:", len(held_out), flush=True)
    model = load_model(start, dropout=args.dropout) if start else GPT(config | {"resid_pdrop": args.dropout})
    run = Run(args, model, Mixture(texts, args.seed))
    if args.resume and Path(args.resume).exists():
        run.resume(args.resume)
    run.train(tokenizer, held_out)
    save_model(run.model, args.out, tokenizer_folder)


if __name__ == "__main__":
    restart_with(ALLOCATOR)
    main()
