"""Parts of a long pass are dealt out to the ranks, each part once."""
from contextlib import contextmanager

from mmdd.utils import shards


def test_parts_are_shared(monkeypatch):
    waited = []

    @contextmanager
    def together():
        yield
        waited.append(True)

    monkeypatch.setattr(shards, 'together', together)
    monkeypatch.setattr(shards, 'get_world_size', lambda: 3)

    def do(index, pool, progress):
        progress.add(2)
        return list(pool.map(str, [index, progress.total]))

    found = []
    for rank in range(3):
        monkeypatch.setattr(shards, 'get_rank', lambda rank=rank: rank)
        found.append(shards.do_shards('pass', [2] * 5, do))
    assert found == [{0: ['0', '4'], 3: ['3', '4']}, {1: ['1', '4'], 4: ['4', '4']},
                     {2: ['2', '2']}]
    assert len(waited) == 3
    alone = shards.do_shards('pass', [2] * 5, do, shared=False)
    assert list(alone) == [0, 1, 2, 3, 4] and len(waited) == 3
