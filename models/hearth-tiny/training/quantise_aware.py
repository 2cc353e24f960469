"""Trains the two-bit variant of hearth-tiny: the finished model with its weights rounded, taught by the model itself.

    python quantise_aware.py --model MODEL_DIR --tokens TOKENS_DIR --out RUN_DIR --seconds 160

The loss is the Kullback-Leibler divergence of the student's next-token distribution
from the full model's, plus a share of the ordinary loss. Windows have 2048 tokens
throughout; the learning rate falls linearly to zero with the clock. At the end
`pack.py` writes the weights as Hearth stores them.
"""

import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import low_bits
from model import CONFIG, Block, Llama, rotary_tables
from pack import write_folder
from train import MIX, Muon, Stream, batch


def hidden(model, ids, dtype, block, table):
    cos, sin = rotary_tables(ids.shape[1], CONFIG["head_dim"], CONFIG["rope_theta"], ids.device)
    x = F.embedding(ids, table).to(dtype)
    for layer in model.model.layers:
        x = block(layer, x, cos, sin)
    return x


def teach(x, norm, table, teacher_x, teacher_norm, teacher_table, targets, share):
    """The divergence and the ordinary loss of every position, mixed; the share is the ordinary loss's."""
    logits = F.linear(norm(x), table.to(x.dtype)).float()
    with torch.no_grad():
        taught = F.log_softmax(F.linear(teacher_norm(teacher_x), teacher_table.to(x.dtype)).float(), -1)
    own = F.log_softmax(logits, -1)
    divergence = (taught.exp() * (taught - own)).sum(-1)
    return ((1 - share) * divergence - share * own.gather(-1, targets[..., None])[..., 0]).mean(), divergence.detach().mean()


@torch.no_grad()
def compare(student, teacher, ids, dtype, context, rows, block, teacher_block):
    """Loss and top-1 accuracy of both on held-out text, and how often they agree."""
    count = len(ids) // context
    picks = torch.linspace(0, count - 1, min(rows, count), device=ids.device).long()
    windows = F.pad(ids[: count * context].view(count, context)[picks].long(), (1, 0))
    sums = torch.zeros(5, dtype=torch.float64)
    for w in windows.split(16):
        x, targets = w[:, :-1], w[:, 1:]
        found = []
        for model, table, run in ((teacher, teacher.model.embed_tokens.weight, teacher_block),
                                  (student, low_bits.rounded_table(student.model.embed_tokens.weight), block)):
            h = hidden(model, x, dtype, run, table)
            found.append(F.linear(model.model.norm(h), table.to(h.dtype)).float())
        full, low = found
        tops = [logits.argmax(-1) for logits in found]
        sums += torch.tensor([
            F.cross_entropy(full.flatten(0, 1), targets.flatten(), reduction="sum").item(),
            F.cross_entropy(low.flatten(0, 1), targets.flatten(), reduction="sum").item(),
            (tops[0] == targets).sum().item(), (tops[1] == targets).sum().item(), (tops[0] == tops[1]).sum().item(),
        ], dtype=torch.float64)
    loss, low_loss, top, low_top, agree = (sums / (len(windows) * context)).tolist()
    return {"loss": round(loss, 4), "low_loss": round(low_loss, 4), "top1": round(top, 4), "low_top1": round(low_top, 4),
            "top1_lost": round(1 - low_top / top, 4), "agree": round(agree, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the finished model")
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=160, help="time for compiling and training together")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=0.001)
    parser.add_argument("--warmup", type=float, default=0.02, help="share of the time")
    parser.add_argument("--share", type=float, default=0.3, help="of the ordinary loss")
    parser.add_argument("--compile", default="inductor" if torch.cuda.is_available() else "no")
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

    stored = load_file(os.path.join(args.model, "model.safetensors"))
    teacher, student = Llama(CONFIG), Llama(CONFIG)
    for model in (teacher, student):
        model.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    teacher = teacher.to(device).requires_grad_(False)
    if cuda:
        # Its matrices need no more than what they are multiplied in; the norms compute in float32 by themselves.
        teacher = teacher.to(dtype)
    student = low_bits.lower(student).to(device)
    matrices = [p for n, p in student.named_parameters() if n.endswith("latent")]
    others = [p for n, p in student.named_parameters() if not n.endswith("latent")]
    # No decay: a scale follows its row, and a row that shrinks says nothing.
    muon = Muon(matrices, args.muon_lr, weight_decay=0.0)
    adam = torch.optim.AdamW(others, lr=args.adam_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=cuda)
    block, teacher_block, head = Block.forward, Block.forward, teach
    if args.compile != "no":
        block, teacher_block, head = (torch.compile(f, dynamic=False, backend=args.compile) for f in (block, teacher_block, head))

    def gradients():
        inputs, targets = batch(streams, 1, args.rows, args.context)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=cuda):
            with torch.no_grad():
                teacher_x = hidden(teacher, inputs, dtype, teacher_block, teacher.model.embed_tokens.weight)
            table = low_bits.rounded_table(student.model.embed_tokens.weight)
            x = hidden(student, inputs, dtype, block, table)
            loss, divergence = head(x, student.model.norm, table, teacher_x, teacher.model.norm,
                                    teacher.model.embed_tokens.weight, targets, args.share)
        loss.backward()
        return divergence

    def evaluate(step):
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=cuda):
            for name, ids in held_out.items():
                scores = compare(student, teacher, ids, dtype, min(1024, args.context), 64, Block.forward, Block.forward)
                record(event="evaluation", step=step, text=name, **scores)

    gradients()
    student.zero_grad(set_to_none=True)
    if cuda:
        torch.cuda.synchronize()
    record(event="ready", date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), compile_seconds=round(time.monotonic() - launched, 1),
           torch=torch.__version__)

    begin = time.monotonic()
    seconds = args.seconds - (begin - launched)
    step, elapsed, synced_step, step_time = 0, 0.0, 0, 0.0
    while True:
        progress = (elapsed + (step - synced_step) * step_time) / seconds
        scale = max(0.0, min((progress + 1e-3) / args.warmup, (1.0 - progress) / (1.0 - args.warmup)))
        divergence = gradients()
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = args.adam_lr * scale
        adam.step()
        adam.zero_grad(set_to_none=True)
        step += 1
        if step % 10 == 0 or not cuda:
            value = divergence.item()
            now = time.monotonic() - begin
            step_time = (now - elapsed) / (step - synced_step)
            elapsed, synced_step = now, step
            done = elapsed + 5 * step_time >= seconds
            if step % 50 == 0 or step <= 10 or done:
                record(step=step, seconds=round(elapsed, 1), tokens=step * args.rows * args.context, divergence=round(value, 4),
                       scale=round(scale, 4), tokens_per_second=round(args.rows * args.context / step_time))
            if done:
                break
    write_folder(student, args.model, args.out)
    latent = {name: tensor.to(torch.bfloat16) for name, tensor in student.state_dict().items()}
    torch.save(latent, os.path.join(args.out, "latent.pt"))
    evaluate(step)
    record(event="done", date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), steps=step, tokens=step * args.rows * args.context,
           drawn={name: s.drawn for name, s in streams.items()})


if __name__ == "__main__":
    main()
