"""Trains hearth-tiny on one GPU within a given time.

    python train.py --tokens TOKENS_DIR --out RUN_DIR --seconds 600

The schedule follows the clock rather than a step count: warm up, hold, then decay
the learning rate linearly to zero over the last 45 %. For the last 26 % the windows
double to 2048 tokens and chats take a larger share, so that the model meets both
when it learns finest. Matrices are trained by Muon, embeddings and norms by AdamW; the
master weights are float32 and only the saved file is bfloat16.
"""

import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from model import CONFIG, Block, Llama, losses

# Shares of each batch in the first and in the last phase.
LAST_PHASE = 0.74
MIX = {
    "books": (0.94, 0.73),
    "dialogues": (0.03, 0.09),
    "small_chats": (0.01, 0.06),
    "prose_chats": (0.02, 0.12),
}


class Stream:
    """Training windows from one stream of tokens, each opening with the separator.

    A window begins where a paragraph or a chat begins, because that is where every
    prompt begins when the model is used.
    """

    def __init__(self, folder, name, device, generator):
        ids = np.fromfile(os.path.join(folder, name + ".bin"), np.uint16).astype(np.int16)
        self.ids = torch.from_numpy(ids).to(device)
        self.starts = torch.from_numpy(np.load(os.path.join(folder, name + ".starts.npy"))).to(device)
        # A chat carries its own separator; a paragraph has to be given one.
        self.own_bos = bool((ids[np.load(os.path.join(folder, name + ".starts.npy"))[:8]] == 0).all())
        self.generator, self.queue, self.drawn = generator, None, 0

    def refill(self, length):
        last = len(self.ids) - length - 1
        if self.own_bos:
            starts = self.starts[self.starts <= last]
        else:
            # One pass over the stream: a window a length, from a new offset each time.
            offset = int(torch.randint(length, (1,), generator=self.generator))
            grid = torch.arange(offset, last, length, device=self.ids.device)
            starts = self.starts[torch.searchsorted(self.starts, grid).clamp_(max=len(self.starts) - 1)]
            starts = starts[starts <= last].unique()
        order = torch.randperm(len(starts), generator=self.generator)
        return starts[order.to(starts.device)]

    def take(self, rows, length):
        if rows == 0:
            return self.ids.new_empty((0, length + 1), dtype=torch.long)
        if self.queue is None or self.queue[0] != length:
            self.queue = (length, self.refill(length))
        while len(self.queue[1]) < rows:
            self.queue = (length, torch.cat((self.queue[1], self.refill(length))))
        starts, rest = self.queue[1][:rows], self.queue[1][rows:]
        self.queue = (length, rest)
        self.drawn += rows * length
        span = torch.arange(length + self.own_bos, device=self.ids.device)
        window = self.ids[starts[:, None] + span].long()
        return window if self.own_bos else F.pad(window, (1, 0))


def batch(streams, phase, rows, length):
    """Rows by share; the books take what rounding leaves."""
    counts = {name: round(MIX[name][phase] * rows) for name in streams}
    counts["books"] += rows - sum(counts.values())
    windows = torch.cat([streams[name].take(count, length) for name, count in counts.items()])
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def orthogonalise(g):
    """Newton-Schulz iteration towards the nearest orthogonal matrix, for a stack of matrices."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if g.is_cuda else g
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        y = x @ x.mT
        x = a * x + (b * y + c * (y @ y)) @ x
    return x.mT if tall else x


class Muon:
    """Momentum whose update is orthogonalised; matrices of one shape go through as one stack."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.05):
        shapes = {}
        for p in params:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(ps, torch.zeros(len(ps), *shape, device=ps[0].device)) for shape, ps in shapes.items()]
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay

    @torch.no_grad()
    def step(self, scale):
        lr = self.lr * scale
        for params, buffer in self.groups:
            grad = torch.stack([p.grad for p in params])
            buffer.lerp_(grad, 1 - self.momentum)
            update = orthogonalise(grad.lerp(buffer, self.momentum)).float()
            rows, columns = params[0].shape
            torch._foreach_mul_(params, 1 - lr * self.weight_decay)
            torch._foreach_add_(params, list(update.unbind()), alpha=-lr * max(1.0, rows / columns) ** 0.5)
            for p in params:
                p.grad = None


def scale_at(progress, warmup=0.01, decay=0.45):
    """Warm up, hold, decay to zero."""
    return max(0.0, min(progress / warmup, 1.0, (1.0 - progress) / decay)) if progress > 0 else 0.01


@torch.no_grad()
def held_out_loss(model, ids, dtype, context, rows=128, at_once=32):
    """Mean loss over windows spread evenly over a held-out stream, each behind a separator."""
    count = len(ids) // context
    picks = torch.linspace(0, count - 1, min(rows, count), device=ids.device).long()
    windows = F.pad(ids[: count * context].view(count, context)[picks].long(), (1, 0))
    parts = [model(w[:, :-1], w[:, 1:], dtype).mean(1) for w in windows.split(at_once)]
    return torch.cat(parts).mean().item()


def save(model, path):
    # A tied lm_head is not stored, as transformers expects.
    save_file({k: v.detach().to(torch.bfloat16).contiguous().cpu() for k, v in model.state_dict().items()}, path, metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=600, help="time for compiling and training together")
    parser.add_argument("--rows", type=int, default=128, help="windows a step at 1024 tokens; half as many at 2048")
    parser.add_argument("--accumulate", type=int, default=1, help="pieces that a step's batch is cut into")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--decay-context", type=int, default=2048)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    parser.add_argument("--evaluations", type=int, default=12)
    parser.add_argument("--compile", default="inductor" if torch.cuda.is_available() else "no", help="a torch.compile backend, or no")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    launched = time.monotonic()
    device, cuda = args.device, args.device.startswith("cuda")
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    dtype = torch.bfloat16 if cuda else torch.float32
    os.makedirs(args.out, exist_ok=True)
    log = open(os.path.join(args.out, "log.jsonl"), "w", encoding="utf-8")

    def record(**fields):
        line = json.dumps(fields)
        print(line, flush=True)
        print(line, file=log, flush=True)

    generator = torch.Generator().manual_seed(args.seed)
    streams = {name: Stream(args.tokens, name, device, generator) for name in MIX}
    held_out = {name: torch.from_numpy(np.fromfile(os.path.join(args.tokens, name + ".bin"), np.uint16).astype(np.int16)).to(device)
                for name in ("dev_books", "dev_dialogues")}

    model = Llama(CONFIG).to(device)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or "embed" in n]
    muon = Muon(matrices, args.muon_lr)
    adam = torch.optim.AdamW(others, lr=args.adam_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=cuda)
    block, head = Block.forward, losses
    if args.compile != "no":
        block, head = (torch.compile(f, dynamic=False, backend=args.compile) for f in (block, head))

    def gradients(phase):
        length = (args.context, args.decay_context)[phase]
        rows = args.rows * args.context // length
        inputs, targets = batch(streams, phase, rows, length)
        total = 0.0
        for x, y in zip(inputs.chunk(args.accumulate), targets.chunk(args.accumulate)):
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=cuda):
                loss = model(x, y, dtype, block, head).mean() / args.accumulate
            loss.backward()
            total = total + loss.detach()
        return total

    # Compile both lengths before the clock starts, and take no step for it.
    for phase in (1, 0):
        gradients(phase)
        model.zero_grad(set_to_none=True)
    for stream in streams.values():
        stream.drawn = 0
    if cuda:
        torch.cuda.synchronize()
    record(event="ready", date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), compile_seconds=round(time.monotonic() - launched, 1),
           parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__)

    begin = time.monotonic()
    seconds = args.seconds - (begin - launched)
    step, synced_step, elapsed, step_time, evaluation = 0, 0, 0.0, 0.0, 0
    while True:
        progress = (elapsed + (step - synced_step) * step_time) / seconds
        scale = scale_at(progress)
        loss = gradients(int(progress >= LAST_PHASE))
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = args.adam_lr * scale
        adam.step()
        adam.zero_grad(set_to_none=True)
        step += 1
        # Reading the loss waits for the GPU, so the clock is read only then.
        if step % 10 == 0 or step <= 3 or not cuda:
            value = loss.item()
            now = time.monotonic() - begin
            step_time = (now - elapsed) / (step - synced_step)
            elapsed, synced_step = now, step
            done = elapsed + 5 * step_time >= seconds
            tokens = step * args.rows * args.context
            if step % 100 == 0 or step <= 10 or done:
                record(step=step, seconds=round(elapsed, 1), tokens=tokens, loss=round(value, 4), scale=round(scale, 4),
                       tokens_per_second=round(args.rows * args.context / step_time))
            if done or elapsed / seconds * args.evaluations >= evaluation + 1:
                evaluation += 1
                with torch.autocast("cuda", dtype=torch.bfloat16, enabled=cuda):
                    scores = {name: round(held_out_loss(model, ids, dtype, args.context), 4) for name, ids in held_out.items()}
                record(event="evaluation", date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), step=step, tokens=tokens, **scores)
                save(model, os.path.join(args.out, "model.safetensors"))
                # Time spent looking is not training time for the step estimate, but it is on the clock.
                elapsed = time.monotonic() - begin
            if done:
                break
    record(event="done", date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), steps=step, tokens=step * args.rows * args.context,
           seconds=round(time.monotonic() - begin, 1), drawn={name: s.drawn for name, s in streams.items()},
           memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1) if cuda else None)


if __name__ == "__main__":
    main()
