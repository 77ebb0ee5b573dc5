"""Scores on disk: computed once, read by every budget and every combination of classes."""
import os
import os.path as osp
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from mmdd.utils.io import atomic_write_json
from mmdd.utils.seed import derive_seed
from mmdd.utils.state import read_arrays, write_arrays


class ScoreStore:
    """A folder of shards, ``<name>.npz``, each with the scores of some photographs.

    Rows are found by keys, which say content and prompt of a photograph. Jobs and
    ranks may share a folder: shards are written whole or not at all, and two that
    hold the same photograph hold the same scores.

    Args:
        folder: Where the shards are, for one set of settings and weights.
        about: What the folder holds, for those who look into it.
        fields: Arrays of a shard, one row a photograph.
    """

    def __init__(self, folder: str, about: Mapping, fields: Sequence[str]) -> None:
        self.folder = folder
        self.fields = tuple(fields)
        self.about = dict(about)
        self._rows: Dict[str, Tuple[str, int]] = {}
        self._seen: set = set()
        self.refresh()

    def refresh(self) -> None:
        """Look for shards that were written since; a damaged one is set aside."""
        names = os.listdir(self.folder) if osp.isdir(self.folder) else []
        for name in sorted(set(names) - self._seen):
            if not name.endswith('.npz') or name.startswith('.'):
                continue
            content = read_arrays(osp.join(self.folder, name), ('keys', *self.fields))
            if content is None:
                continue
            self._seen.add(name)
            for row, key in enumerate(content['keys'].tolist()):
                self._rows.setdefault(key, (name, row))

    def write(self, keys: Sequence[str], rows: Mapping[str, np.ndarray]) -> None:
        """Add the scores of some photographs, atomically.

        Args:
            keys: One for each row.
            rows: Arrays by name, one of each of ``fields``.
        """
        about = osp.join(self.folder, 'about.json')
        if not osp.isfile(about):
            atomic_write_json(about, self.about)
        name = f'{derive_seed("shard", *keys):016x}.npz'
        write_arrays(osp.join(self.folder, name), keys=np.array(keys),
                     **{field: rows[field] for field in self.fields})

    def read(self, keys: Sequence[str]) -> Dict[str, np.ndarray]:
        """Scores of photographs in the order of ``keys``.

        Raises:
            KeyError: If one is not there.
        """
        places = [self._rows[key] for key in keys]
        parts: Dict[str, Dict[str, np.ndarray]] = {}
        for name in dict.fromkeys(name for name, _ in places):
            with np.load(osp.join(self.folder, name)) as content:
                parts[name] = {field: content[field] for field in self.fields}
        return {field: np.stack([parts[name][field][row] for name, row in places])
                for field in self.fields}

    def missing(self, keys: Sequence[str]) -> List[int]:
        """Positions of the keys that have no scores yet, one for each key."""
        first: Dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in self._rows:
                first.setdefault(key, i)
        return list(first.values())
