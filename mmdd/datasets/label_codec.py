"""How the logits of a teacher are packed into rows of bytes, and read back."""
from typing import Any, List, Mapping, Optional, Tuple, Union

import numpy as np

# A field of a row: name, type and, where there are several values, how many.
RowField = Union[Tuple[str, str], Tuple[str, str, Union[int, Tuple[int, ...]]]]

FP16, INT8 = 'fp16', 'int8'
PRECISIONS = (FP16, INT8)
# Codes of one byte.
LEVELS = 255
# What :func:`draw_epoch` fills in.
AUGMENTATION: List[RowField] = [
    ('image', '<u4'), ('partner', '<u4'), ('crop', '<u2', 4), ('flip', '?'), ('box', '<u2', 4),
    ('share', '<f4')]


def row_type(num_classes: int, topk: Optional[int] = None, precision: str = FP16,
             augmented: bool = True) -> np.dtype:
    """One labelled image as it lies on disk.

    Fields: ``image`` (index in the set), ``partner`` (row of the epoch whose
    pixels fill the box), ``crop`` (x, y, width, height in pixels of the file), ``flip``,
    ``box`` (x1, y1, x2, y2 in pixels of the crop after resizing; empty without mixing),
    ``share`` (area left of the image itself) and ``logits``. With
    ``topk`` the logits are the k largest ones and one for the rest, and ``classes`` are
    the k classes. With ``precision`` 'int8' the logits are codes 0 to 255, and ``low`` and
    ``step`` their first value and distance.

    Args:
        num_classes: Classes K.
        topk: Classes to keep; all if None.
        precision: 'fp16' or 'int8'.
        augmented: Whether a row is of an augmented image. One of the image as it is has
            no fields of an augmentation: row i is of image i.
    """
    count = num_classes if topk is None else topk + 1
    fields: List[RowField] = list(AUGMENTATION) if augmented else []
    if precision == INT8:
        fields += [('low', '<f4'), ('step', '<f4'), ('logits', 'u1', (count, ))]
    else:
        fields += [('logits', '<f2', (count, ))]
    if topk is not None:
        fields.append(('classes', '<u2', (topk, )))
    return np.dtype(fields)


def settings_type(settings: Mapping[str, Any]) -> np.dtype:
    """:func:`row_type` of the settings of a store."""
    return row_type(settings['num_classes'], settings['topk'],
                    settings.get('precision', FP16), settings.get('regime') != 'image')


def fill_logits(rows: np.ndarray, logits: np.ndarray, settings: Mapping[str, Any]) -> None:
    """Pack the logits (N, K) of a teacher into rows (N, ), in place."""
    if settings['topk'] is not None:
        logits, rows['classes'] = compress(logits, settings['topk'], settings['temperature'])
    if settings.get('precision', FP16) == INT8:
        rows['logits'], rows['low'], rows['step'] = quantize(logits)
    else:
        rows['logits'] = logits


def read_logits(row: np.void, num_classes: int) -> np.ndarray:
    """All logits (K, ) of a row, float32; with ``topk`` the rest has one value."""
    values, fields = row['logits'].astype(np.float32), row.dtype.names or ()
    if 'step' in fields:
        values = row['low'] + row['step'] * values
    if 'classes' not in fields:
        return values
    full = np.full(num_classes, values[-1], np.float32)
    full[row['classes']] = values[:-1]
    return full


def compress(logits: np.ndarray, topk: int, temperature: float) -> Tuple[np.ndarray, np.ndarray]:
    """Keep the largest logits, and the mass of the others in one number.

    At ``temperature`` the k largest classes keep their probabilities exactly; what
    is left is shared evenly by the others: their common logit is
    T log mean exp(logit / T).

    Args:
        logits: (N, K).
        topk: Classes to keep, 1 to K - 1.
        temperature: T of the student's loss.

    Returns:
        tuple: Logits (N, topk + 1), the last one for the rest, and classes (N, topk).
    """
    order = np.argsort(-logits, axis=1, kind='stable')
    values = np.take_along_axis(logits, order, 1).astype(np.float64)
    rest = values[:, topk:] / temperature
    peak = rest.max(1, keepdims=True)
    rest = temperature * (peak + np.log(np.exp(rest - peak).mean(1, keepdims=True)))
    return np.concatenate([values[:, :topk], rest], 1), order[:, :topk]


def quantize(logits: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evenly spaced codes of one byte between the smallest and the largest logit of a row.

    A logit read back is at most half of ``step`` away, which is a 510th of the row's range.

    Args:
        logits: (N, K).

    Returns:
        tuple: Codes (N, K) uint8, and float32 ``low`` and ``step`` (N, ).
    """
    logits = np.asarray(logits, np.float64)
    low = logits.min(1).astype(np.float32)
    step = ((logits.max(1) - low) / LEVELS).astype(np.float32)
    width = np.where(step > 0, step, 1)[:, None].astype(np.float64)
    codes = np.rint((logits - low[:, None]) / width)
    return np.clip(codes, 0, LEVELS).astype(np.uint8), low, step
