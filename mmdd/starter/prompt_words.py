"""The words of a job's prompts, for the tokenizer of a tiny text encoder."""
import re
import unicodedata
from typing import Any, Iterable, List, Mapping

from mmdd.datasets.class_names import spoken_names
from mmdd.datasets.views import read_classes
from mmdd.models.prompters.annotation_prompter import COUNTS_AND_PLACES

# What CLIP's tokenizer takes for a word; digits and signs are tokens of their own.
WORD = re.compile(r'[^\W\d_]+')


def prompt_words(cfg: Mapping[str, Any]) -> List[str]:
    """Words that the prompts of a job are made of, lower-case and sorted.

    They are those of the class names, with and without the suffix of the plural, those of the
    prompter's templates, and counts and places.

    Args:
        cfg: Config of a distillation.
    """
    prompter = cfg['model'].get('prompter') or {}
    texts = [value for value in prompter.values() if isinstance(value, str)]
    names = list(_words(spoken_names(read_classes(cfg, cfg.get('default_scope') or 'mmdd') or ())))
    suffix = prompter.get('plural', 's')
    return sorted({*names, *(name + suffix for name in names), *_words(texts),
                   *_words([COUNTS_AND_PLACES])})


def _words(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield from WORD.findall(unicodedata.normalize('NFC', text).lower())
