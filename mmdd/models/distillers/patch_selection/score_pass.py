"""Scoring of many photographs: streamed, shared by ranks, resumable."""
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, List, Sequence

import numpy as np
from mmengine.dist import get_rank, get_world_size

from mmdd.utils.finite import check_features
from mmdd.utils.progress import Progress
from mmdd.utils.rank_zero import meet
from mmdd.utils.shards import do_shards
from .compositor import read_resized
from .score_store import ScoreStore

# Photographs in a shard: what a killed job may lose.
SHARD = 64


class ScorePass:
    """Scores the photographs that a store does not have yet.

    Args:
        scorer: What scores them: :class:`PatchScorer` or :class:`CropScorer`.
        store: Where scores are kept, on a disk that all ranks share.
        paths: Image files.
        prompts: What tells the scorer the class of each.
    """

    def __init__(self, scorer: Any, store: ScoreStore, paths: Sequence[str],
                 prompts: Sequence[str]) -> None:
        self.scorer = scorer
        self.store = store
        self.paths = list(paths)
        self.prompts = list(prompts)
        self.keys: List[str] = []

    def run(self) -> List[str]:
        """Compute what is missing; the ranks share the work.

        Returns:
            list[str]: Key of each photograph in the store.

        Raises:
            ValueError: If a photograph cannot be read, or a score is not finite.
        """
        self.keys = [f'{digest}-{prompt_digest(prompt)}' for digest, prompt in zip(
            shared_digests(self.paths), self.prompts)]
        self.store.refresh()
        missing = self.store.missing(self.keys)
        meet()  # every rank has looked before one writes
        shards = [missing[i:i + SHARD] for i in range(0, len(missing), SHARD)]
        do_shards('scores of the real set', [len(shard) for shard in shards],
                  lambda i, pool, progress: self._shard(shards[i], pool, progress))
        self.store.refresh()
        return self.keys

    def _shard(self, members: Sequence[int], pool: ThreadPoolExecutor,
               progress: Progress) -> None:
        resize = self.scorer.settings.resize
        images: List[np.ndarray] = list(pool.map(
            lambda i: read_resized(self.paths[i], resize), members))
        keys = [self.keys[i] for i in members]
        rows = self.scorer.score(images, [self.prompts[i] for i in members], keys,
                                 progress)
        check_features(
            np.concatenate([rows[field].reshape(len(keys), -1) for field in self.scorer.fields],
                           1),
            [self.paths[i] for i in members], self.scorer.fix, self.scorer.figures)
        self.store.write(keys, rows)


def shared_digests(paths: Sequence[str]) -> List[str]:
    """Digest of the content of each file; the ranks share the reading."""
    world = get_world_size()
    with ThreadPoolExecutor(4) as pool:
        own = list(pool.map(file_digest, paths[get_rank()::world]))
    parts = meet(own)
    return [parts[i % world][i // world] for i in range(len(paths))]


def file_digest(path: str) -> str:
    """32 hexadecimal digits that identify the content of a file.

    Raises:
        ValueError: If it cannot be read.
    """
    try:
        with open(path, 'rb') as f:
            return hashlib.file_digest(f, 'sha256').hexdigest()[:32]
    except OSError as e:
        raise ValueError(f'{path}: cannot be read ({e.strerror}); replace or remove it') from None


def prompt_digest(prompt: str) -> str:
    """8 hexadecimal digits of a prompt."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:8]
