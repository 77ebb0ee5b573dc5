"""From one label space to another: which class of a teacher is which class of a set."""
from typing import Optional, Sequence, Tuple, Union

from .class_names import class_wnids, table_of

Mapping = Union[str, Sequence[int]]


def class_columns(mapping: Mapping, teacher: Optional[Sequence[str]],
                  classes: Optional[Sequence[str]]) -> Tuple[int, ...]:
    """The logits of a teacher that stand for the classes of a set.

    A teacher of ImageNet-1K knows the classes of ImageNette or Tiny ImageNet, under other
    names and numbers. Its logits of these classes alone are kept, so that their softmax is
    the teacher's prediction given that the image shows one of them.

    Args:
        mapping: 'wnid' compares WordNet ids, for ImageNet-1K and its subsets; 'name'
            compares class names; or the teacher's index for each class.
        teacher: Class names of the teacher by label index.
        classes: Class names of the set by label index.

    Returns:
        tuple: For each class of the set the teacher's index, none twice.

    Raises:
        ValueError: If a class is not known to the teacher, names are ambiguous, or
            ``mapping`` cannot be applied.
    """
    if mapping not in ('wnid', 'name') and isinstance(mapping, str):
        raise ValueError(f"teacher.mapping must be 'wnid', 'name' or a list of the teacher's "
                         f'class indices, got {mapping!r}')
    if not classes or not teacher and isinstance(mapping, str):
        raise ValueError('teacher.mapping needs the class names of teacher and set; give both '
                         'metainfo=dict(classes=...)')
    if not isinstance(mapping, str):
        return _checked(mapping, len(classes), None if teacher is None else len(teacher))
    assert teacher is not None
    known, wanted = (_wnids(names, who) if mapping == 'wnid' else tuple(names)
                     for names, who in ((teacher, 'the teacher'), (classes, 'the set')))
    double = sorted({name for name in wanted if known.count(name) > 1})
    if double:
        raise ValueError(f'teacher.mapping: the teacher has several classes '
                         f'{", ".join(double[:5])}; give the class indices instead')
    missing = [classes[i] for i, name in enumerate(wanted) if name not in known]
    if missing:
        raise ValueError(f'teacher.mapping: the teacher does not know {len(missing)} of '
                         f'{len(classes)} classes ({", ".join(missing[:5])}); give a teacher that '
                         f'was trained on them')
    return _checked([known.index(name) for name in wanted], len(classes), len(known))


def _wnids(names: Sequence[str], who: str) -> Tuple[str, ...]:
    table = table_of(names)
    try:
        return class_wnids(table or '')
    except ValueError:
        raise ValueError(
            f"teacher.mapping='wnid': the classes of {who} are not those of ImageNet-1K or a "
            f"subset in their order ({', '.join(list(names)[:3])}, ...); take 'name' or give the "
            f'class indices') from None


def _checked(columns: Sequence[int], number: int, known: Optional[int]) -> Tuple[int, ...]:
    columns = tuple(int(i) for i in columns)
    if len(columns) != number or len(set(columns)) != number or any(
            i < 0 or known is not None and i >= known for i in columns):
        limit = '' if known is None else f' below {known}'
        raise ValueError(f'teacher.mapping needs {number} different class indices{limit}, got '
                         f'{len(columns)}: {list(columns[:8])}')
    return columns
