"""A student is the same alone in its process and after others in one."""
import glob
import os.path as osp

import pytest
import tiny
import torch

from mmdd.protocols import evaluate_sets


def detection_protocol(root):
    """Protocol of a tiny detector that is trained for three updates."""
    job = tiny.detector_job(root, max_iters=3)
    job['train_dataloader']['dataset']['serialize_data'] = False
    test = tiny.voc_dataset(root, 'test')
    test['pipeline'].insert(1, dict(type='Resize', scale=(32, 32)))
    loader = dict(batch_size=2, num_workers=0, dataset=dict(test, test_mode=True),
                  sampler=dict(type='DefaultSampler', shuffle=False))
    return dict(
        job, test_dataloader=loader, test_cfg=dict(),
        test_evaluator=dict(type='mmdd.InProcessVOCMetric', metric='mAP', iou_thrs=[0.5]),
        protocol=dict(task='detection', metrics=dict(AP50='pascal_voc/AP50'), scale=100.))


def trained(work_dir):
    """Weights of every student by the name of its run."""
    found = {}
    for path in glob.glob(osp.join(work_dir, 'runs', '*', 'iter_3.pth')):
        weights = torch.load(path, weights_only=False)['state_dict']
        found[osp.basename(osp.dirname(path))] = weights
    return found


@pytest.mark.slow
def test_students_of_one_process_are_those_of_a_process_each(digits, tmp_path):
    """To the last bit: weights, metrics, names of the runs."""
    sets = dict(a=digits, b=tiny.digit_scenes(tmp_path / 'b', train=5))
    protocol = detection_protocol(digits)
    together = evaluate_sets(sets, protocol, str(tmp_path / 'together'), (0, 1), jobs=0)
    alone = [evaluate_sets({name: sets[name]}, protocol, str(tmp_path / 'alone'), (seed, ), jobs=1)
             for name in 'ba' for seed in (1, 0)]
    results = {(row.method, row.seed): (row.key, row.last)
               for rows in alone for row in rows}
    assert results == {(row.method, row.seed): (row.key, row.last) for row in together}
    ones, others = trained(str(tmp_path / 'together')), trained(str(tmp_path / 'alone'))
    assert ones.keys() == others.keys() and len(ones) == 4
    for key, weights in ones.items():
        assert all(torch.equal(value, others[key][name]) for name, value in weights.items())
    first, *rest = ones.values()
    assert not any(torch.equal(first['rpn_head.rpn_cls.weight'], other['rpn_head.rpn_cls.weight'])
                   for other in rest)
