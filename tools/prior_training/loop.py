"""The training loop of all priors: resumable, logged, averaged."""
import copy
import math
import os
import os.path as osp
import time
from argparse import Namespace
from typing import Callable, Dict, Optional, Tuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmdd.utils.io import atomic_path, strict_json
from .arguments import has_bf16
from .attention import write_out_attention

Loss = Callable[[int, torch.Generator], Tensor]


def fit(stage: str, model: nn.Module, loss: Loss, args: Namespace,
        on_save: Optional[Callable[[nn.Module, int], None]] = None) -> Tuple[nn.Module, bool]:
    """Train a model and return its averaged weights.

    The state is kept under the work dir every ``--save-every`` steps; a run with
    the same work dir resumes there. Every random draw of a step comes from the seed and the step,
    so a resumed training equals one that was not stopped. On a CPU attention is multiplied out.

    Args:
        stage: Name of the training in the log and of its state file.
        model: What is trained, with fp32 weights.
        loss: Maps a step (from 1) and its random generator to the loss of a batch.
        args: Options of :func:`add_arguments`.
        on_save: Called with the averaged model and the step after each save.

    Returns:
        tuple: the averaged model, and whether all steps are done.
    """
    model.to(args.device).train()
    write_out_attention(model, args.device)
    ema = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99),
                                  weight_decay=args.weight_decay)
    path = osp.join(args.work_dir, f'{stage}.safetensors')
    start = load_state(path, model, ema, optimizer) if osp.isfile(path) else 0
    progress = Progress(stage, args.steps, osp.join(args.work_dir, 'log.jsonl'), start)
    bf16 = args.precision == 'bf16' or args.precision == 'auto' and has_bf16(args.device)
    end = args.begun + 60 * (args.minutes or 1e9)
    for step in range(start + 1, args.steps + 1):
        for group in optimizer.param_groups:
            group['lr'] = args.lr * rate(step, args.steps, args.warmup, args.final_lr)
        g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        with torch.autocast(args.device.split(':')[0], torch.bfloat16, enabled=bf16):
            value = loss(step, g)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average(ema, model, min(args.ema, (1 + step) / (10 + step)))
        progress.step(step, value.item())
        stop = time.time() > end
        if step % args.save_every == 0 or step == args.steps or stop:
            save_state(path, model, ema, optimizer, step)
            if on_save is not None:
                on_save(ema, step)
        if stop and step < args.steps:
            print(f'stopped after {args.minutes} minutes; the same command resumes', flush=True)
            return ema, False
    return ema, True


def rate(step: int, steps: int, warmup: int, final: float) -> float:
    """Share of the learning rate at a step from 1: linear warm-up, cosine down to ``final``."""
    down = 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
    return min(1., step / max(1, warmup)) * (final + (1 - final) * down)


@torch.no_grad()
def average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards those of the model; buffers are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
    for a, b in zip(ema.buffers(), model.buffers()):
        a.copy_(b)


def save_state(path: str, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer,
               step: int) -> None:
    """Write weights, averages and moments as safetensors; the step is in its metadata."""
    tensors: Dict[str, Tensor] = {}
    for prefix, module in (('model', model), ('ema', ema)):
        tensors.update({f'{prefix}.{k}': v for k, v in module.named_parameters()})
    for index, state in optimizer.state_dict()['state'].items():
        tensors.update({f'optimizer.{index}.{k}': v for k, v in state.items()})
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with atomic_path(path) as tmp:
        save_file(tensors, tmp, metadata=dict(step=str(step)))


def load_state(path: str, model: nn.Module, ema: nn.Module,
               optimizer: torch.optim.Optimizer) -> int:
    """Take over a saved state and return its step.

    Raises:
        ValueError: If the file is damaged or of another model.
    """
    try:
        moments: Dict[int, Dict[str, Tensor]] = {}
        with safe_open(path, 'pt') as f, torch.no_grad():
            for prefix, module in (('model', model), ('ema', ema)):
                for name, parameter in module.named_parameters():
                    parameter.copy_(f.get_tensor(f'{prefix}.{name}'))
            for key in f.keys():
                kind, _, rest = key.partition('.')
                if kind == 'optimizer':
                    index, _, name = rest.partition('.')
                    moments.setdefault(int(index), {})[name] = f.get_tensor(key)
            step = int(f.metadata()['step'])
    except Exception as e:  # safetensors has an error class of its own
        raise ValueError(f'{path}: no state of this training ({str(e).splitlines()[0]}); move it '
                         f'away to begin again') from None
    optimizer.load_state_dict(dict(state=moments,
                                   param_groups=optimizer.state_dict()['param_groups']))
    return step


class Progress:
    """Prints a line with loss, speed and ETA, and appends it to a log as JSON."""

    def __init__(self, stage: str, total: int, path: str, start: int) -> None:
        self.stage, self.total, self.path, self.start = stage, total, path, start
        self.begin, self.losses = time.time(), []
        os.makedirs(osp.dirname(path), exist_ok=True)

    def step(self, step: int, loss: float, every: int = 25) -> None:
        """Count a step; every ``every`` steps the mean loss since the last line is told."""
        self.losses.append(loss)
        if step % every and step != self.total:
            return
        seconds = (time.time() - self.begin) / (step - self.start)
        mean = sum(self.losses) / len(self.losses)
        eta = seconds * (self.total - step)
        print(f'{self.stage} [{step}/{self.total}] loss {mean:.4f} {seconds:.2f} s/step '
              f'eta {int(eta // 60)}:{int(eta % 60):02d}', flush=True)
        with open(self.path, 'a') as f:
            f.write(strict_json(dict(stage=self.stage, step=step, loss=mean)) + '\n')
        self.losses = []
