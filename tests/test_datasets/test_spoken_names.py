"""WordNet ids are no words."""
import numpy as np
import pytest

from mmdd.datasets.class_names import class_names, class_wnids, spoken_names
from mmdd.models.distillers import DatasetDistiller
from mmdd.structures import IPC, RealAnnotation


def test_ids_of_imagenet_become_words():
    assert spoken_names(('n01440764', 'n02102040')) == ('tench', 'English springer')
    assert spoken_names(class_wnids('imagenette')) == class_names('imagenette')
    assert spoken_names(('cat', 'n1', 'nose')) == ('cat', 'n1', 'nose')


def test_unknown_ids_are_refused():
    with pytest.raises(ValueError, match=r'2 class names are WordNet ids .*\(n99999999, n0000'):
        spoken_names(('cat', 'n99999999', 'n01440764', 'n00000000'))


def test_prompts_say_words():
    distiller = DatasetDistiller(prompter=dict(type='ClassPrompter'), image_size=32)
    distiller.classes = ('n01440764', 'n02102040')
    distiller.annotations = [RealAnnotation(str(i), '', (32, 32), np.array([i])) for i in range(2)]
    assert [slot.prompt for slot in distiller.plan(IPC(1))] == [
        'a photo of a tench', 'a photo of an English springer']
