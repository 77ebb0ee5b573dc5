"""Warnings about a fine-tuning that would not do what it seems to."""
import logging
from collections import Counter

from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log

from mmdd.registry import HOOKS


@HOOKS.register_module()
class FineTuneCheckHook(Hook):
    """Warns, before a Minimax fine-tuning begins, of two settings that do not fit the run.

    - An average (``EMAHook``) whose decay outlives the run: with a decay of 0.9999 and 12,000
      updates, those of the released code, 30 % of what is averaged is still the
      pretrained model.
    - Memories larger than a class: they hold the same image several times. They still
      work, so that small sets can be fine-tuned; nothing is refused.

    Args:
        max_share: Share of the first weights in the average that is still fine.
    """

    limits = dict(max_share=dict(low=0, high=1))

    def __init__(self, max_share: float = 0.05) -> None:
        self.max_share = max_share

    def before_train(self, runner) -> None:
        """Look at the run that is about to start."""
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                self.check_average(hook, runner.max_iters)
        check_memories(runner.model, runner.train_dataloader.dataset)

    def check_average(self, hook: EMAHook, updates: int) -> None:
        """Warn where an exponential average keeps too much of its beginning."""
        momentum = getattr(hook.ema_model, 'momentum', None)
        if momentum is None:
            return
        share = (1 - momentum)**(updates / hook.ema_model.interval)
        if share > self.max_share:
            print_log(
                f'the moving average outlives the run: with a decay of {1 - momentum:g} it '
                f'still holds {100 * share:.0f} % of the first weights after {updates} updates; '
                f"raise the momentum of EMAHook or take model.fine_tune.weights='last'",
                'current', logging.WARNING)


def check_memories(model, dataset) -> None:
    """Warn where a memory is larger than a class of the set."""
    model = getattr(model, 'module', model)
    if not hasattr(dataset, 'get_gt_labels'):
        return
    counts = Counter(int(label) for label in dataset.get_gt_labels())
    small = [label for label, count in counts.items() if count < model.real.size]
    if small:
        print_log(
            f'memories of {model.real.size} embeddings are larger than {len(small)} of '
            f'{len(counts)} classes (the smallest has {min(counts.values())} images): they hold '
            f'images several times; lower model.memory_size', 'current', logging.WARNING)
