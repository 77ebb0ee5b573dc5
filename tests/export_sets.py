"""Small distilled sets, with what their manifests say, to be exported."""
import numpy as np

from mmdd.datasets.manifest import image_entry, write_manifest
from mmdd.structures import DistilledSample, DistillSlot

CLASSES = ('background', '<b>x', 'dog, hound')
# As MMEngine prints a config.
CONFIG = '''custom_hooks = []
experiment_name = 'home-me-job'
model = dict(
    diffusion=dict(pretrained='/home/me/weights/sd', type='StableDiffusion'),
    prompter=dict(base_url='http://me:key@server', type='VLMPrompter'),
    seed=3,
    type='UniDD')
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        dataset=dict(
            ann_file='lists/train.txt', data_root='/home/me/birds/', type='VOCDataset'),
        times=2,
        type='RepeatDataset'))
'''
SEED = 2**63 - 25
SIZE = (20, 30)


def samples():
    """Three samples of 20x30 pixels: one accepted, one without boxes, one rejected."""
    random = np.random.default_rng(0)
    for i in range(3):
        mask = np.zeros(SIZE, np.uint8)
        mask[5:10, 5:10], mask[12:, 20:], mask[0] = 1, 2, 255
        boxes = [[2.5, 3, 12, 14.25], [1, 2, 29, 19]] if i != 1 else []
        labels, bboxes = np.array([1, 2][:len(boxes)], int), np.array(boxes, np.float32)
        bboxes = bboxes.reshape(-1, 4)
        slot = DistillSlot(i, SEED + i, SIZE, labels, bboxes, prompt=f'a "photo" {i}',
                           source=f'real_{i}', mask=mask)
        yield DistilledSample(
            slot, image=random.integers(0, 255, (*SIZE, 3), np.uint8), labels=labels,
            bboxes=bboxes, mask=mask, score=(0.875, None, 0.25)[i], accepted=i != 2)


def class_samples():
    """The same with one label each: 2, 1, 1."""
    for i, sample in enumerate(samples()):
        sample.labels = sample.slot.labels = np.array([2 - bool(i)])
        yield sample


def write_set(folder, writer, made, **summary):
    """Write a distilled set; its path."""
    made = list(made)
    entries = [image_entry(s, writer.write(s, str(folder), CLASSES), CLASSES, 1) for s in made]
    files = writer.close(made, str(folder), CLASSES)
    write_manifest(str(folder), entries, files, **dict(dict(
        classes=list(CLASSES), method='UniDD', budget='Total(n=3)', budget_asked=3, budget_met=2,
        config=CONFIG, format=writer.facts(), job=dict(fingerprint='f00')), **summary))
    return str(folder)
