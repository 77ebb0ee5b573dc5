"""Which files tables and pictures are written to, told by the suffixes of their names."""
from typing import Sequence

TABLES, PICTURES = ('.md', '.csv'), ('.svg', '.png', '.pdf')


def check_suffix(path: str, known: Sequence[str]) -> None:
    """Check the suffix of a file to write.

    Raises:
        ValueError: If it is none of ``known``.
    """
    if not path.endswith(tuple(known)):
        raise ValueError(f'{path}: the name must end in one of {", ".join(known)}')
