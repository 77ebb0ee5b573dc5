"""Step 5 of a job: the set stages choose and expand, the set is written, its manifest closed."""
import os.path as osp
from collections import Counter
from typing import Any, Dict, List, Sequence

from mmdd.datasets.class_counts import count_classes, report_counts
from mmdd.datasets.manifest import image_entry, write_manifest
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import remove_leftovers
from mmdd.utils.progress import announce
from .attempts import Attempts, best_round, count_made
from .failures import all_failed
from .job_text import set_scalars
from .stored_samples import StoredSamples


def write_set(loop: Any, attempts: Attempts) -> None:
    """Write the images of the best attempts, then the manifest.

    Args:
        loop: The ``DistillLoop``.
        attempts: Records of all finished attempts.
    """
    remove_leftovers(loop.out_dir)
    loop.journal.require(loop.slots)
    classes, stages = loop.distiller.classes, loop.distiller.set_stages
    entries, samples = [], []
    for slot in choose_slots(loop, attempts):
        key = (slot.id, slot.round)
        rounds = len(attempts[slot.id])
        for sample in stages.expand(loop.journal.load_sample(slot, key)):
            written = loop.writer.write(sample, loop.out_dir, classes)
            entries.append(image_entry(sample, written, classes, rounds))
            if stages.expanders:
                # Not in the journal, where hooks would look for it.
                sample.path = osp.join(loop.out_dir, written[0])
            sample.image = None
            samples.append(sample)
    files = loop.writer.close(samples, loop.out_dir, classes)
    summary = summarize(loop, attempts, samples)
    report_counts(summary['per_class'])
    loop.runner.call_hook('before_manifest', samples=samples, summary=summary)
    path = write_manifest(loop.out_dir, entries, files, **summary)
    loop.runner.visualizer.add_scalars(set_scalars(summary), step=loop.iter)
    announce(f'{summary["budget_met"]} of {summary["budget_asked"]} images pass '
             f'({summary["images_made"]} made): {path}')


def choose_slots(loop: Any, attempts: Attempts) -> List[DistillSlot]:
    """The slots whose images form the set, seeded for the round that counts."""
    distiller = loop.distiller
    best = [slot.retry(distiller.seed, best_round(attempts[slot.id]))
            for slot in loop.slots if not all_failed(attempts[slot.id])]
    if not distiller.set_stages.choosers:
        return best
    groups: Dict[int, List[DistillSlot]] = {}
    for slot in best:
        groups.setdefault(slot.group, []).append(slot)
    sizes = group_sizes(loop.slots)
    return [members[i] for group, members in groups.items()
            for i in distiller.set_stages.choose(
                StoredSamples(loop.journal, members), distiller, sizes[group])]


def group_sizes(slots: Sequence[DistillSlot]) -> Dict[int, int]:
    """Slots of a plan in each of the budget's groups."""
    return Counter(slot.group for slot in slots)


def summarize(loop: Any, attempts: Attempts,
              samples: Sequence[DistilledSample]) -> Dict[str, Any]:
    """What the manifest says of the set as a whole."""
    distiller = loop.distiller
    tried = [record for own in attempts.values() for record in own.values()]
    asked = sum(map(distiller.set_stages.images, group_sizes(loop.slots).values()))
    return dict(
        method=type(distiller).__name__, job=loop.job, classes=list(distiller.classes),
        format=loop.writer.facts(), budget=str(loop.budget), budget_asked=asked,
        budget_met=sum(sample.accepted for sample in samples),
        per_class=count_classes(samples, distiller.classes), **count_made(attempts),
        cost=loop.cost.report(loop.runner.cfg.model, tried, len(samples)),
        config=loop.runner.cfg.pretty_text)
