"""What a distillation job says of itself at its beginning and at its end."""
import os.path as osp
import statistics
from datetime import timedelta
from shlex import quote
from typing import Any, Dict, List, Mapping, Optional

from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmdd.datasets.class_counts import NAMED, short
from mmdd.datasets.manifest import read_manifest
from mmdd.utils.paths import tool_command
from .hooks.contact_sheet_hook import SHEET

# Stages of `cost` that take less of the time than this are not named.
SMALL = 0.02


def header_lines(runner: Runner) -> List[str]:
    """What a job is about to do, before it starts.

    Args:
        runner: Runner with a ``DistillLoop``.
    """
    loop = runner.train_loop
    distiller, dataset = loop.distiller, loop.dataloader.dataset
    classes = dataset.metainfo.get('classes') or ()
    ranks = get_world_size()
    facts = {
        'real set': f'{type(dataset).__name__}, {len(dataset)} images, {len(classes)} classes',
        'budget': str(loop.budget),
        'diffusion': _diffusion(distiller.diffusion),
        **{part: _network(getattr(distiller, part)) for part in ('proxy', 'judge')},
        'device': str(next((p.device for p in distiller.parameters()), 'cpu')) + (
            f', {ranks} ranks' if ranks > 1 else ''),
        'output': loop.out_dir,
        'log': runner.logger.log_file,
    }
    return [f'method: {type(distiller).__name__}', *_rows(facts)]


def _diffusion(diffusion) -> Optional[str]:
    if diffusion is None:
        return None
    weights = next(diffusion.denoiser.parameters(), None)
    dtype = '' if weights is None else f', {str(weights.dtype).removeprefix("torch.")}'
    return (f'{type(diffusion).__name__}, {diffusion.steps} steps, '
            f'cfg {diffusion.cfg_scale:g}{dtype}')


def _network(proxy) -> Optional[str]:
    if proxy is None:
        return None
    model, checkpoint = getattr(proxy, 'model', None), getattr(proxy, 'checkpoint', None)
    name = type(proxy).__name__ + ('' if model is None else f' ({type(model).__name__})')
    return ', '.join([name] + ([str(checkpoint)] if checkpoint else []))


def closing_lines(runner: Runner) -> List[str]:
    """What a finished job made, what it cost, and what comes next.

    Args:
        runner: Runner whose ``DistillLoop`` has written the set.
    """
    folder = runner.train_loop.out_dir
    made = read_manifest(folder)
    sheet = osp.join(runner.work_dir, SHEET)
    facts = {
        'images': f'{made["budget_met"]} of {made["budget_asked"]} met, '
                  f'{made["images_made"]} made, {made["discard_rate"]:.1%} discarded',
        'per class': counts_text(made['per_class']),
        'dropped': dropped_text(made),
        'time': time_text(made['cost'], len(made['images'])),
        'sheet': sheet if osp.isfile(sheet) else None,
        'log': runner.logger.log_file,
        'look at it': f'{tool_command("browse")} {quote(folder)}',
        'measure it': f'{tool_command("evaluate")} '
                      f'{quote(runner.cfg.filename or "PROTOCOL")} '
                      f'--sets {made["method"]}={quote(folder)}',
    }
    return [f'distilled set: {folder}', *_rows(facts)]


def set_scalars(summary: Mapping[str, Any]) -> Dict[str, float]:
    """Numbers of a finished set for the visualizer.

    Args:
        summary: What the manifest says of the set as a whole.
    """
    numbers = {name: summary[name] for name in ('budget_met', 'images_made', 'discard_rate')}
    numbers['seconds_per_kept'] = summary['cost']['seconds_per_kept']
    return {f'set/{name}': value for name, value in numbers.items()}


def counts_text(per_class: Mapping[str, Mapping[str, int]]) -> Optional[str]:
    """Least, median and largest number of images of a class, and which have fewest or none.

    Args:
        per_class: See :func:`mmdd.datasets.class_counts.count_classes`.

    Returns:
        str: Such as '0 to 4 images, median 2; empty: cat, dog'; None without classes.
    """
    numbers = {short(name): count['images'] for name, count in per_class.items()}
    if not numbers:
        return None
    least, most = min(numbers.values()), max(numbers.values())
    median = f'{statistics.median(numbers.values()):g}'
    if least == most:
        return f'{least} images each'
    names = [name for name, number in numbers.items() if number == least]
    more = f' and {len(names) - NAMED} more' if len(names) > NAMED else ''
    return (f'{least} to {most} images, median {median}; '
            f'{"fewest" if least else "empty"}: {", ".join(names[:NAMED])}{more}')


def dropped_text(made: Mapping[str, Any]) -> str:
    """What a set lacks, and why.

    Args:
        made: Content of a manifest; ``failures`` (``attempts``, ``reasons`` with a count each,
            ``missing`` slots) may be absent.
    """
    images, failures = made['images'], made.get('failures') or {}
    kept = sum(not image['accepted'] for image in images)
    rejected = round(made['discard_rate'] * made['images_made'])
    skipped = sum((image.get('stats') or {}).get('skipped_gradients', 0) for image in images)
    parts = []
    if failures.get('attempts'):
        reasons = ', '.join(f'{number} {why}' for why, number in failures['reasons'].items())
        parts.append(f'{failures["attempts"]} attempts failed ({reasons})')
    if failures.get('missing'):
        parts.append(f'{len(failures["missing"])} slots without an image')
    if rejected:
        parts.append(f'{rejected} attempts below the threshold of the refiners')
    if kept:
        parts.append(f'{kept} of them kept, as all rounds of their slots failed')
    if skipped:
        parts.append(f'{skipped:g} guidance steps without a finite gradient')
    return '; '.join(parts) or 'nothing'


def time_text(cost: Mapping[str, Any], images: int) -> str:
    """Time of a job in all, per image and by stage, over restarts.

    Args:
        cost: The entry ``cost`` of a manifest.
        images: Images of the set.
    """
    stages: Dict[str, float] = {name: stage['seconds'] for name, stage in cost['stages'].items()}
    total = sum(stages.values())
    large = sorted(((seconds, name) for name, seconds in stages.items()
                    if seconds >= SMALL * total), reverse=True)
    named = ', '.join(f'{name} {timedelta(seconds=round(seconds))}' for seconds, name in large)
    return (f'{timedelta(seconds=round(total))} in all ({named}), '
            f'{total / max(1, images):.3g} s per image')


def _rows(facts: Mapping[str, Optional[str]]) -> List[str]:
    """Aligned lines of what is known."""
    return [f'  {name:<11}{text}' for name, text in facts.items() if text]
