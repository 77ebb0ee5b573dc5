"""Prompts of hand-made annotations, and their editable cache."""
import json
from dataclasses import replace

import numpy as np
import pytest

from mmdd.models import AnnotationPrompter, ClassPrompter, enumerate_classes
from mmdd.models.prompters import read_prompts
from mmdd.models.prompters.annotation_prompter import place_of
from mmdd.structures import RealAnnotation, encode_mask

CLASSES = ('cat', 'dog', 'owl', 'hour')


def annotation(labels, bboxes=None, image_id='a', size=(100, 200)):
    if bboxes is not None:
        bboxes = np.array(bboxes, np.float32).reshape(-1, 4)
    return RealAnnotation(image_id, f'{image_id}.jpg', size, np.array(labels, np.int64), bboxes)


@pytest.mark.parametrize('names, text', [
    ([], 'nothing'), (['cat'], 'a cat'), (['owl'], 'an owl'), (['cat', 'cat'], 'two cats'),
    (['dog', 'cat'], 'a dog and a cat'), (['dog', 'cat', 'dog'], 'two dogs and a cat'),
    (['owl', 'dog', 'cat'], 'an owl, a dog and a cat'), (['cat'] * 9, 'nine cats'),
    (['cat'] * 10, 'many cats')])
def test_enumeration(names, text):
    assert enumerate_classes(names) == text


def test_class_prompter():
    prompter = ClassPrompter('a picture with {objects} inside', plural='')
    assert prompter.describe(annotation([1, 1, 0]), CLASSES) == \
        'a picture with two dog and a cat inside'


# One image of 200 x 100 pixels; 20,000 square pixels: large from 5,000, small below 1,200.
@pytest.mark.parametrize('labels, boxes, text', [
    ([0], [[60, 0, 140, 100]], 'a photo of a cat, large cat at the center'),
    ([0], [[0, 0, 40, 40]], 'a photo of a cat, cat at the top left'),
    ([2], [[180, 80, 200, 100]], 'a photo of an owl, small owl at the bottom right'),
    ([0, 1], [[0, 30, 40, 70], [150, 25, 200, 75]],
     'a photo of a cat and a dog, dog at the right, cat at the left, dog right of cat'),
    ([0, 1], [[80, 0, 120, 40], [70, 60, 130, 100]],
     'a photo of a cat and a dog, dog at the bottom, cat at the top, dog below cat'),
    ([0, 0], [[80, 50, 120, 100], [80, 0, 120, 40]],
     'a photo of two cats, cat at the bottom, cat at the top, cat below cat'),
    ([0, 1], [[0, 0, 100, 100], [10, 10, 60, 60]],
     'a photo of a cat and a dog, large cat at the left, dog at the top left, '
     'cat overlapping dog'),
    ([], [], 'a photo of nothing')])
def test_annotation_prompter(labels, boxes, text):
    assert AnnotationPrompter().describe(annotation(labels, boxes), CLASSES) == text


def test_settings_of_the_annotation_prompter():
    prompter = AnnotationPrompter('{objects}', background='on grass', large=2, small=0,
                                  max_objects=2, plural='')
    boxes = [[0, 0, 20, 20], [0, 0, 60, 60], [110, 0, 150, 40]]
    assert prompter.describe(annotation([0, 1, 2], boxes), CLASSES) == (
        'a cat, a dog and an owl, dog at the top left, owl at the top right, '
        'dog left of owl, on grass')
    assert prompter.describe(annotation([3]), CLASSES) == 'a hour, on grass'


@pytest.mark.parametrize('overlap, word', [(.24, 'overlapping'), (.26, 'left of')])
def test_overlap_is_a_share_of_the_smaller_box(overlap, word):
    box, other = np.array([0, 0, .5, .5]), np.array([.4, 0, .6, .5])
    other[3] = .25  # the smaller one: 0.2 x 0.25, of which 0.1 x 0.25 is covered
    assert AnnotationPrompter(overlap=overlap * 2).relation(box, other) == word


@pytest.mark.parametrize('x, y, place', [
    (.5, .5, 'center'), (.1, .5, 'left'), (.9, .5, 'right'), (.5, .1, 'top'),
    (.5, .9, 'bottom'), (.1, .1, 'top left'), (.9, .9, 'bottom right'), (.4, .6, 'center')])
def test_places(x, y, place):
    assert place_of(np.array([x, y, x, y])) == place


def test_cache_is_written_completed_and_obeyed(tmp_path):
    cache = str(tmp_path / 'prompts.jsonl')
    one, two = annotation([0], image_id='1'), annotation([1], image_id='2')
    prompter = ClassPrompter()
    assert prompter.prompts([one, one], CLASSES, cache) == ['a photo of a cat'] * 2
    assert read_prompts(cache) == {'1': 'a photo of a cat'}
    (tmp_path / 'prompts.jsonl').write_text(
        json.dumps(dict(image='1', prompt='Käthe, by hand')) + '\n\n', encoding='utf-8')
    assert prompter.prompts([two, one], CLASSES, cache) == ['a photo of a dog', 'Käthe, by hand']
    assert read_prompts(cache) == {'1': 'Käthe, by hand', '2': 'a photo of a dog'}
    before = (tmp_path / 'prompts.jsonl').stat().st_mtime_ns
    prompter.prompts([two, one], CLASSES, cache)
    assert (tmp_path / 'prompts.jsonl').stat().st_mtime_ns == before


@pytest.mark.parametrize('line', ['not json', '[]', '{"image": "1"}', '3',
                                  '{"image": "1", "prompt": 5}', '{"image": 1, "prompt": "a"}'])
def test_malformed_cache(tmp_path, line):
    cache = tmp_path / 'prompts.jsonl'
    cache.write_text('{"image": "0", "prompt": "fine"}\n' + line + '\n')
    with pytest.raises(ValueError, match='prompts.jsonl:2: expected'):
        ClassPrompter().prompts([annotation([0])], CLASSES, str(cache))
    assert cache.read_text().endswith(line + '\n')


def test_a_binary_prompt_file_is_named(tmp_path):
    cache = tmp_path / 'prompts.jsonl'
    cache.write_bytes(b'{"image": "0", "prompt": "fine"}\n\xff\xfe\x00{\n')
    with pytest.raises(ValueError, match='prompts.jsonl: cannot be read as a prompt file'):
        ClassPrompter().prompts([annotation([0])], CLASSES, str(cache))


def test_places_of_a_mask():
    mask = np.full((40, 80), 255, np.uint8)
    mask[:20, :40], mask[30:, 70:] = 1, 2  # a quarter, and a fortieth of the image
    found = replace(annotation([1, 2]), mask_png=encode_mask(mask))
    assert AnnotationPrompter().describe(found, CLASSES) == (
        'a photo of a dog and an owl, large dog at the top left, small owl at the bottom right, '
        'dog left of owl')


def test_prompts_before_a_failure_are_kept(tmp_path):
    class Failing(ClassPrompter):
        def describe(self, annotation, classes):
            if annotation.image_id == '2':
                raise ValueError('no more')
            return super().describe(annotation, classes)

    cache = str(tmp_path / 'prompts.jsonl')
    with pytest.raises(ValueError, match='no more'):
        Failing().prompts([annotation([1], image_id=i) for i in '123'], CLASSES, cache)
    assert read_prompts(cache) == {'1': 'a photo of a dog'}


@pytest.mark.parametrize('prompt', [None, 5, b'a dog', ['a dog']])
def test_a_prompt_that_is_no_text_is_named_and_not_kept(tmp_path, prompt):
    class Wordless(ClassPrompter):
        def describe(self, annotation, classes):
            return prompt

    cache = tmp_path / 'prompts.jsonl'
    with pytest.raises(ValueError, match='Wordless.describe must return the prompt, a text, got'):
        Wordless().prompts([annotation([0])], CLASSES, str(cache))
    assert not cache.exists()
