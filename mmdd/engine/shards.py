"""Shards of a job: processes that divide its slots and never talk to each other."""
import os.path as osp
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional

from mmdd.utils.state import read_state, write_state

# So many unfinished shards are named.
NAMED = 5
# The lock of a job without shards.
WHOLE = 'job'


@dataclass(frozen=True, order=True)
class Shard:
    """One of ``count`` shards, counted from 0."""
    index: int
    count: int

    def __str__(self) -> str:
        return f'{self.index}/{self.count}'


def read_shard(text: str) -> Shard:
    """A shard as it is written: '0/64' to '63/64'.

    Raises:
        ValueError: If it is none.
    """
    found = re.fullmatch(r'(\d+)/(\d+)', text)
    if found is None or int(found[1]) >= int(found[2]):
        raise ValueError(f'shard {text!r}: write I/N, from 0/N to (N-1)/N; an array job of Slurm '
                         f'counts from 0, and is told SHARDS=N when some of its tasks are '
                         f'submitted again')
    return Shard(int(found[1]), int(found[2]))


def lock_path(out_dir: str, shard: Any, merge: bool) -> Optional[str]:
    """What the processes of a sharded job lock before they touch what they share.

    Args:
        out_dir: Folder of the distilled set.
        shard: The shard of a process; None where it has none.
        merge: Whether it is there to merge.

    Returns:
        str: A path beside the folder; None of a job that is not sharded.
    """
    return shared_lock_path(out_dir) if merge or shard is not None else None


def shared_lock_path(out_dir: str) -> str:
    """The lock that all shards of a set share."""
    return f'{out_dir}.lock'


def own_lock_path(out_dir: str, shard: Optional[Shard]) -> str:
    """What the process of a job, or of a shard of one, holds as long as it runs."""
    return osp.join(f'{out_dir}.locks', WHOLE if shard is None else f'shard{shard.index:04d}')


class Shards:
    """Which slots are whose, and which shards are finished; kept in the journal.

    Slots are dealt out in blocks of the first shard's batch size, so that the batches of the first
    round are those of a single process.

    Args:
        folder: Folder of the journal.
        shard: The shard of this process; None where all slots are its own.
        block: Slots of a block, where the folder does not tell.
    """

    def __init__(self, folder: str, shard: Optional[Shard], block: int) -> None:
        self.folder = osp.join(folder, 'shards')
        self.shard = shard
        self.count = 1 if shard is None else shard.count
        self.block = block

    @property
    def division_file(self) -> str:
        """Path of what says how the slots are divided."""
        return osp.join(self.folder, 'division.json')

    def read(self, fixed: bool) -> None:
        """Take over how an earlier shard has divided the slots.

        Args:
            fixed: Whether attempts are made, so that the number of shards must stay.

        Raises:
            ValueError: If there is another number of shards.
        """
        found = read_state(self.division_file, _is_division)
        if found is None:
            return
        if self.shard is not None and self.count != found['shards']:
            if fixed:
                raise ValueError(
                    f'{self.division_file}: the job is divided into {found["shards"]} shards, not '
                    f'{self.count}; give --shard I/{found["shards"]} (an array job: '
                    f'SHARDS={found["shards"]}), or make the rest in one process with --resume')
            return
        self.count, self.block = found['shards'], found['block']

    def keep(self) -> None:
        """Write down how the slots are divided, for other shards and for the merge."""
        division = dict(shards=self.count, block=self.block)
        if self.shard is not None and read_state(self.division_file, _is_division) != division:
            write_state(self.division_file, division)

    @property
    def name(self) -> str:
        """What files of this shard begin with; '' where there is one process."""
        return '' if self.shard is None else f'shard{self.shard.index:04d}'

    def owner(self, slot: int) -> Shard:
        """The shard that a slot belongs to."""
        return Shard(self._owner(slot), self.count)

    def owns(self, slot: int) -> bool:
        """Whether a slot is this process's."""
        return self.shard is None or self._owner(slot) == self.shard.index

    def _owner(self, slot: int) -> int:
        return slot // self.block % self.count

    def finish(self) -> None:
        """Note that this shard has nothing more to make."""
        assert self.shard is not None
        write_state(self._mark(self.shard.index), dict(shard=str(self.shard)))

    def finished(self) -> int:
        """How many shards have noted so."""
        return sum(osp.isfile(self._mark(index)) for index in range(self.count))

    def _mark(self, index: int) -> str:
        return osp.join(self.folder, f'{index:04d}_of_{self.count:04d}.json')

    def describe(self, slots: Iterable[int]) -> str:
        """Whose slots these are: 'shard 3/64 (12 slots), shard 7/64 (9 slots)'."""
        counts = Counter(self.owner(slot) for slot in slots)
        words: List[str] = [f'shard {shard} ({number} slots)'
                            for shard, number in sorted(counts.items())]
        more = f' and {len(words) - NAMED} more' if len(words) > NAMED else ''
        return ', '.join(words[:NAMED]) + more


def _is_division(content: Dict[str, Any]) -> bool:
    return content['shards'] >= 1 and content['block'] >= 1
