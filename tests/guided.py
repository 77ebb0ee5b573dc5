"""UniDD with a proxy that a test gives it."""
import tiny
import torch
from gaussian import caller
from torch.testing import assert_close

from mmdd.engine import TaskGuidanceHook
from mmdd.registry import MODELS


def check_guided(proxy, diffusion, slots, scale):
    """The energy falls, and no sample depends on its batch mates.

    Args:
        proxy: What guides.
        diffusion: A :func:`tiny.stable_diffusion`, whose weights are taken.
        slots: At least three, with their prompts.
        scale: Of the guidance.

    Returns:
        list: The guided samples.
    """
    distiller = MODELS.build(dict(
        type='UniDD', image_size=32, diffusion=tiny.stable_diffusion(),
        prompter=dict(type='ClassPrompter')))
    distiller.diffusion.load_state_dict(diffusion.state_dict())
    distiller.proxy = proxy

    def sample(some, scale):
        hook = TaskGuidanceHook(scale=scale)
        made = distiller.distill_step(some, caller(hook, model=distiller))
        images = torch.stack([torch.from_numpy(s.image) for s in made]).permute(0, 3, 1, 2) / 255
        return images, proxy.energy(images, some), made

    plain, before, _ = sample(slots, 0.)
    guided, after, made = sample(slots, scale)
    assert (guided - plain).abs().max() > .02
    assert after.mean() < before.mean() - 1e-3
    alone, _, _ = sample(slots[2:3], scale)
    assert_close(alone[0], guided[2], atol=2 / 255, rtol=0)
    return made
