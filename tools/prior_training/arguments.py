"""The options that all trainings of a prior have."""
import argparse
import time
from typing import Optional, Sequence

from mmdd.utils.arguments import real, seed, whole


def add_arguments(parser: argparse.ArgumentParser, **defaults) -> None:
    """Add the shared options to a parser.

    Args:
        parser: Parser of a script.
        **defaults: Values that differ from those below.
    """
    add = parser.add_argument
    add('work_dir', help='folder of the log, the latents, the training state and the sheets')
    add('--out', help='where to write the finished fp16 diffusers folder')
    add('--steps', type=whole(1), default=8000, help='length of the training')
    add('--batch-size', type=whole(1), default=64)
    add('--lr', type=real(above=0), default=6e-4)
    add('--warmup', type=whole(0), default=100, help='steps of linear warm-up')
    add('--final-lr', type=real(0, high=1), default=0.02,
        help='share of --lr that the cosine ends at')
    add('--weight-decay', type=real(0), default=1e-3)
    add('--ema', type=real(0, high=1), default=0.999, help='decay of the averaged weights')
    add('--pool', type=whole(1), default=40000, help='number of training scenes')
    add('--precision', choices=('auto', 'fp32', 'bf16'), default='auto',
        help='autocast; weights stay in fp32. auto: bf16 on GPUs and CPUs that have it')
    add('--save-every', type=whole(1), default=250)
    add('--minutes', type=real(above=0),
        help='stop this long after the start, all stages together; the same command resumes')
    add('--seed', type=seed, default=0)
    add('--device', help='cuda or cpu (a GPU where there is one)')
    parser.set_defaults(begun=time.time(), **defaults)


def add_autoencoder_arguments(parser: argparse.ArgumentParser, **defaults) -> None:
    """Add the options of the stage that trains an autoencoder, with other defaults if given."""
    add = parser.add_argument
    add('--vae-steps', type=whole(0), default=2500, help='length of the training of the '
        'autoencoder; 0 takes it as it is')
    add('--vae-lr', type=real(above=0), default=1e-3)
    add('--vae-batch-size', type=whole(1), default=256)
    parser.set_defaults(**defaults)


def add_dit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the transformer to a parser."""
    parser.add_argument('--width', type=whole(1), default=128)
    parser.add_argument('--depth', type=whole(1), default=6)
    parser.add_argument('--heads', type=whole(1), default=4)
    parser.add_argument('--drop', type=real(0, high=1), default=0.1, help='share without a class')


def parse(parser: argparse.ArgumentParser,
          line: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read a command line, with the device that is there where it names none.

    Args:
        parser: The parser, with the options of :func:`add_arguments`.
        line: The arguments; those of this process if None.
    """
    args = parser.parse_args(line)
    if args.device is None:
        import torch
        args.device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return args


def has_bf16(device: str) -> bool:
    """Whether a device multiplies matrices in bfloat16 faster than in fp32."""
    import torch
    if device.startswith('cuda'):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()
