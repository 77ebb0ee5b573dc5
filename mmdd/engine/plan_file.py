"""The stored plan of a job: JSON lines, the first with the checksum of the others."""
import json
from typing import Any, Dict, List, Mapping, Sequence

from mmdd.utils.io import atomic_write_text, strict_json
from mmdd.utils.state import CHECKSUM, Damaged, checksum


def write_plan(path: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write a plan, atomically.

    Args:
        path: The file.
        entries: Slots as :meth:`DistillSlot.to_dict` gives them.
    """
    lines = [{CHECKSUM: checksum(entries)}, *entries]
    atomic_write_text(path, ''.join(strict_json(line, sort_keys=True) + '\n' for line in lines))


def read_plan(path: str) -> List[Dict[str, Any]]:
    """Read a plan; one without a checksum, as earlier versions wrote it, passes if it is whole.

    Raises:
        FileNotFoundError: If there is no such file.
        Damaged: If a line is missing or is no slot, or the checksum differs.
    """
    try:
        with open(path, 'rb') as f:
            entries = [json.loads(line) for line in f]
        expected = entries.pop(0)[CHECKSUM] if CHECKSUM in entries[0] else None
        numbers = [entry['id'] for entry in entries]
    except IsADirectoryError:
        raise Damaged(path, 'it is a folder') from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise Damaged(path, 'it is no list of slots') from None
    whole = numbers == list(range(len(numbers))) if expected is None else (
        expected == checksum(entries))
    if not whole:
        raise Damaged(path, 'its checksum differs')
    return entries


def plan_mark(entry: Mapping[str, Any]) -> str:
    """What identifies a slot as it was planned, whatever its round."""
    return checksum({key: entry[key] for key in entry if key not in ('seed', 'round')})[:16]
