"""Time and memory of guided denoising."""
import pytest
from probes.guidance_cost import HookCaller, measure_sampling, random_slots

from mmdd.engine import TaskGuidanceHook
from mmdd.utils.table import markdown_table
from mmdd.utils.timing import StepTimer


def test_random_slots():
    slots = random_slots(3, 32, 10)
    again = random_slots(3, 32, 10)
    for slot, twin in zip(slots, again):
        assert slot.to_dict() == twin.to_dict()
        assert (slot.bboxes >= 0).all() and (slot.bboxes <= 32).all()
        assert (slot.bboxes[:, 2:] - slot.bboxes[:, :2] >= 8).all()
    assert len({slot.seed for slot in slots}) == 3


@pytest.mark.parametrize('wrt', ['latent', 'denoised', None])
def test_measure_sampling(tiny_sd, proxy, wrt):
    hook = TaskGuidanceHook(wrt=wrt) if wrt else None
    cost = measure_sampling(tiny_sd, random_slots(2, 32, 10), hook, proxy, steps=2, warmup=1)
    assert cost.batch_size == 2 and cost.memory > 0
    # an image of the batch costs at least its share of the job's steps
    assert cost.image >= cost.step * tiny_sd.steps / 2 > 0


def test_timer_counts_every_step(tiny_sd):
    timer = StepTimer()
    tiny_sd.sample(random_slots(1, 32, 10), steps=3, call_hook=HookCaller([timer]).call_hook)
    assert len(timer.seconds) == 3 and min(timer.seconds) > 0


def test_markdown_table():
    assert markdown_table(['a', 'b'], [['x', '1']]) == '| a | b |\n| --- | ---: |\n| x | 1 |\n'
