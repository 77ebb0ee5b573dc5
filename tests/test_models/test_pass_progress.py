"""Every long pass reports: what it counts, in which steps, up to which total."""
import numpy as np
import pytest
import torch
from PIL import Image

from mmdd.models import LatentClusters
from mmdd.models.coresets.herding import herd
from mmdd.models.coresets.k_center import farthest_first
from mmdd.models.prompters.answer_cache import AnswerCache
from mmdd.models.prompters.vlm_asking import Question, QuestionRound
from mmdd.models.prompters.vlm_backend import Answer
from mmdd.models.proxies.feature_pass import FeaturePass
from mmdd.structures import RealAnnotation
from mmdd.utils.progress import Progress


@pytest.fixture
def stages(monkeypatch):
    """Title, total, what was counted and what was there before, of each stage of a test."""
    made = []

    class Recorded(Progress):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.steps, self.skipped = [], 0
            made.append(self)

        def add(self, number=1):
            self.steps.append(number)
            super().add(number)

        def skip(self, number=1):
            self.skipped += number
            super().skip(number)

    for module in ('utils.shards', 'models.coresets.herding', 'models.coresets.cover',
                   'models.prompters.vlm_asking'):
        monkeypatch.setattr(f'mmdd.{module}.Progress', Recorded)
    return lambda: [(one.title, one.total, one.steps, one.skipped) for one in made]


@pytest.fixture
def photographs(tmp_path):
    paths = [str(tmp_path / f'{i}.png') for i in range(5)]
    for i, path in enumerate(paths):
        Image.new('RGB', (32, 32), (40 * i, 0, 0)).save(path)
    return paths


class Colours(torch.nn.Module):
    """Mean colour as features."""

    def features(self, images):
        return images.mean((2, 3))


def test_features(photographs, stages, tmp_path):
    for _ in range(2):
        FeaturePass(Colours(), photographs, (8, 8), 2, str(tmp_path / 'kept'), 'features').run()
    assert stages() == [('features', 5, [2, 2, 1], 0), ('features', 5, [], 5)]


def test_latents_of_classes(photographs, stages, tiny_sd, tmp_path):
    members = [[RealAnnotation(path, path, (32, 32), np.array([label])) for path in own]
               for label, own in enumerate((photographs[:3], photographs[3:]))]
    for _ in range(2):
        LatentClusters(batch_size=2).fit(tiny_sd, members, 1, (32, 32), 0, str(tmp_path))
    title = 'latents of the real set'
    assert stages() == [(title, 5, [2, 1, 2], 0), (title, 5, [], 5)]


def test_selections(stages):
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 3)))
    herd(points, 4)
    farthest_first(points, 3)
    assert stages() == [('herding', 4, [1] * 4, 0), ('k-center', 3, [1] * 3, 0)]


def test_answers(stages, tmp_path):
    class Backend:
        where, concurrency = 'a model', 2

        def ask(self, path, text):
            return Answer('yes')

        def settings(self):
            return {}

    asked = QuestionRound(Backend(), AnswerCache(''), 1)
    assert len(list(asked.ask([Question(str(i), '', 'what?') for i in range(3)]))) == 3
    assert stages() == [('a model', 3, [1] * 3, 0)]
