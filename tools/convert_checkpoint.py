"""Write the weights of a checkpoint as a plain file that every tool of mmdd reads.

    python tools/convert_checkpoint.py old.pth new.pth
    python tools/convert_checkpoint.py old.pth new.pth --trust
    python tools/convert_checkpoint.py resnet20.th new.pth --rename '^linear=head.fc' '^=backbone.'

mmdd loads tensors, plain values and MMEngine's logs from a checkpoint, and refuses whatever
else it asks for, because that could run code. Without --trust such a file is refused here too,
and the types that it asks for are listed. With --trust it is loaded without restriction: give
it for files of a source you trust alone. Optimizer and logs are left out. --rename gives the
weights of another library the names of mm*: regular expressions and what takes their place, of
which the first that fits a name counts.
"""
import argparse
import re

from mmdd.utils.arguments import ToolParser
from mmdd.utils.cli import run_cli


def renaming(text):
    """PATTERN=NAME as a pair."""
    pattern, found, name = text.partition('=')
    try:
        re.compile(pattern)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f'{pattern!r} is no regular expression: {error}') from None
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is not PATTERN=NAME')
    return pattern, name


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', metavar='IN', help='checkpoint to read')
    parser.add_argument('out', metavar='OUT', help='checkpoint to write; it must not exist')
    parser.add_argument('--trust', action='store_true', help='let the file run code')
    parser.add_argument('--rename', nargs='+', type=renaming, default=[], metavar='PATTERN=NAME',
                        help='names of weights')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmdd.utils.convert_checkpoint import convert_checkpoint
    asked = convert_checkpoint(args.checkpoint, args.out, args.trust, args.rename)
    print(f'{args.out}: written without {", ".join(asked)}' if asked else f'{args.out}: written')


if __name__ == '__main__':
    run_cli(main)
