"""Jobs whose labels are composed: plan, manifest and sources; and what is refused."""
import json
import os.path as osp
from dataclasses import replace

import numpy as np
import pytest
import tiny
from distilled import manifest

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.models import BaseLabelSampler, RandomLabelSampler, UniDD
from mmdd.models.label_samplers.layouts import sample_layouts
from mmdd.registry import TASK_UTILS
from mmdd.structures import DistillSlot, RealAnnotation, Total

CANDIDATES = dict(type='ComposedLabelSampler', objects=3, cooccurrence=False)


@pytest.fixture(scope='module')
def composed(digits, detector_checkpoint, tmp_path_factory):
    cfg = tiny.distill_job(digits, detector_checkpoint, total=4, guidance=0)
    cfg['model'].update(label_sampler=CANDIDATES, refiners=[])
    return cfg, distill(cfg, str(tmp_path_factory.mktemp('composed')))


def test_manifest_and_plan_name_the_sources(composed, digits):
    real = tiny.read_stock(digits)
    slots = [DistillSlot.from_dict(entry) for entry in Journal(composed[1]).read_plan()]
    entries = manifest(composed[1])['images']
    assert len(entries) == 4
    stock = tiny.read_stock(composed[1])
    for slot, entry in zip(slots, entries):
        assert entry['sources'] == list(slot.sources) and len(slot.sources) > 1
        assert entry['source'] == '' and slot.source_path == ''
        known = [(label, box[2] - box[0], box[3] - box[1]) for source in slot.sources
                 for box, label in real[f'{source}.jpg']]
        for label, box in zip(slot.labels, slot.bboxes):
            assert any(label == c and np.allclose(box[2:] - box[:2], (w, h)) for c, w, h in known)
        # Without refinement the labels are those of the layout.
        written = stock[osp.basename(entry['files'][0])]
        assert sorted(label for _, label in written) == sorted(slot.labels.tolist())
        assert all(f'{tiny.CLASSES[c]} at the ' in entry['prompt'] for c in slot.labels)


def test_a_resumed_job_finds_the_same_plan(composed, tmp_path):
    cfg, folder = composed
    again = distill(cfg, osp.dirname(folder), resume=True)
    assert manifest(again) == manifest(folder)
    other = distill(cfg, str(tmp_path / 'other'))
    assert manifest(other)['sha256'] == manifest(folder)['sha256']


def test_a_slot_names_its_sources_in_any_form():
    slot = DistillSlot(0, 1, (4, 4), np.array([1]), source='a')
    assert slot.sources == ('a', ) and 'sources' not in slot.to_dict()  # as in older plans
    assert DistillSlot.from_dict(slot.to_dict()).sources == ('a', )
    slot = DistillSlot(0, 1, (4, 4), np.array([1]), sources=('a', 'b'))
    entry = json.loads(json.dumps(slot.to_dict()))
    assert entry['sources'] == ['a', 'b'] and entry['source'] == ''
    assert DistillSlot.from_dict(entry).sources == ('a', 'b')
    assert slot.retry(0, 1).sources == ('a', 'b')
    assert DistillSlot(0, 1, (4, 4), np.array([1])).sources == ()


@TASK_UTILS.register_module(force=True)
class IndexSampler(BaseLabelSampler):
    """Returns indices, with a canvas in its arguments."""

    def sample(self, annotations, num, num_classes, seed, canvas):
        return list(range(num))


@TASK_UTILS.register_module(force=True)
class OldSampler(BaseLabelSampler):
    """Knows nothing of a canvas."""

    def sample(self, annotations, num, num_classes, seed):
        return list(range(num))


@TASK_UTILS.register_module(force=True)
class ShortSampler(RandomLabelSampler):
    """One too few."""

    def sample(self, annotations, num, num_classes, seed, canvas):
        return super().sample(annotations, num - 1, num_classes, seed, canvas)


@TASK_UTILS.register_module(force=True)
class SilentSampler(RandomLabelSampler):
    """Forgets to return."""

    def sample(self, annotations, num, num_classes, seed, canvas):
        super().sample(annotations, num, num_classes, seed, canvas)


@TASK_UTILS.register_module(force=True)
class StrangeSampler(RandomLabelSampler):
    """Invents a class."""

    def sample(self, annotations, num, num_classes, seed, canvas):
        return [replace(a, target=a.target.with_parts(labels=a.labels + 7))
                for a in annotations[:num]]


@TASK_UTILS.register_module(force=True)
class LazySampler(RandomLabelSampler):
    """Yields its layouts."""

    def sample(self, annotations, num, num_classes, seed, canvas):
        yield from annotations[:num]


def distiller(**kwargs):
    own = UniDD(diffusion=tiny.stable_diffusion(), image_size=32, **kwargs)
    own.classes = ('a', 'b')
    own.annotations = [RealAnnotation(f'{i}', f'{i}.jpg', (16, 16), np.array([i % 2]),
                                      np.array([[0, 0, 8, 8]], np.float32)) for i in range(6)]
    return own


@pytest.mark.parametrize('kind, told', [
    ('IndexSampler', r'IndexSampler.sample must return 3 layouts, got 3, one of type int: return '
                     r'annotations, e.g. \[annotations\[i\] for i in indices\]'),
    ('ShortSampler', 'ShortSampler.sample must return 3 layouts, got 2: return'),
    ('SilentSampler', 'SilentSampler.sample must return 3 layouts, got None'),
    ('StrangeSampler', r'the class index 7, but there are 2 classes \(0 to 1\)')])
def test_what_is_no_layout_is_named(kind, told):
    with pytest.raises(ValueError, match=told):
        distiller(label_sampler=dict(type=kind)).plan(Total(3))


def test_layouts_may_be_yielded():
    plan = distiller(label_sampler=dict(type='LazySampler')).plan(Total(3))
    assert [slot.source for slot in plan] == ['0', '1', '2']


def test_a_sampler_of_the_old_kind_is_refused_before_the_job(digits, tmp_path):
    told = r'OldSampler.sample must take \(annotations, num, num_classes, seed, canvas\)'
    with pytest.raises(ValueError, match=told):
        distiller(label_sampler=dict(type='OldSampler'))
    cfg = tiny.distill_job(digits, None, guidance=0)
    cfg['model']['label_sampler'] = dict(type='OldSampler')
    with pytest.raises(ValueError, match=told):
        distill(cfg, str(tmp_path / 'job'))
    assert not (tmp_path / 'job' / 'proxy.pth').exists()


def test_a_pool_larger_than_the_real_set_composes_on():
    own = distiller(label_sampler=dict(CANDIDATES, objects=1))
    layouts = sample_layouts(own.label_sampler, own.annotations, 15, len(own.classes), 0,
                             own.canvas)
    assert len(layouts) == 15
    assert np.bincount([int(a.labels[0]) for a in layouts]).tolist() in ([7, 8], [8, 7])


def test_classification_is_refused_before_the_proxy_is_trained(digits, tmp_path):
    cfg = tiny.classification_job(digits)
    cfg['model']['label_sampler'] = CANDIDATES
    with pytest.raises(ValueError, match='composes boxes or masks, and .* has neither'):
        distill(cfg, str(tmp_path / 'job'))


def test_a_prompter_that_looks_at_photographs_is_refused(digits, tmp_path):
    vlm = dict(type='VLMPrompter', backend=dict(
        type='OpenAIBackend', base_url='http://127.0.0.1:9', model='m', api_key_env=''))
    cfg = tiny.distill_job(digits, None, guidance=0)
    cfg['model'].update(label_sampler=CANDIDATES, prompter=vlm)
    told = r"set model.prompter to dict\(type='AnnotationPrompter'\)"
    with pytest.raises(ValueError, match=f'VLMPrompter describes real images.*{told}'):
        distill(cfg, str(tmp_path / 'job'))
    own = distiller(label_sampler=CANDIDATES, prompter=vlm)
    with pytest.raises(ValueError, match=f"'composed_.*is composed of 3: {told}"):
        own.plan(Total(2))
