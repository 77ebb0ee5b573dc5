"""Prompts that name the classes and nothing else."""
from collections import Counter
from typing import Sequence

from mmdd.registry import TASK_UTILS
from mmdd.structures import Layout
from mmdd.utils.names import with_article
from .base import BasePrompter

COUNT_WORDS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


@TASK_UTILS.register_module()
class ClassPrompter(BasePrompter):
    """The plain prompt of a text-to-image model: 'a photo of a dog and a cat'.

    Underscores of class names (CIFAR-100's 'aquarium_fish') are read as spaces.

    Args:
        template: Prompt with the field ``{objects}``, or ``{names}`` for the class names as
            they are, without counts and articles.
        plural: Suffix of a class name that is counted more than once.
    """

    def __init__(self, template: str = 'a photo of {objects}', plural: str = 's') -> None:
        self.template = template
        self.plural = plural

    def describe(self, annotation: Layout, classes: Sequence[str]) -> str:
        """Return the template filled with the counted class names."""
        names = [classes[label].replace('_', ' ') for label in annotation.labels]
        return self.template.format(objects=enumerate_classes(names, self.plural),
                                    names=', '.join(dict.fromkeys(names)))


def enumerate_classes(names: Sequence[str], plural: str = 's') -> str:
    """Count and join class names: 'a cat, two dogs and an owl'.

    Args:
        names: Class names, one per object; order of first appearance is kept.
        plural: Suffix of a name that is counted more than once.
    """
    phrases = []
    for name, count in Counter(names).items():
        if count == 1:
            phrases.append(with_article(name))
        else:
            word = COUNT_WORDS[count] if count < len(COUNT_WORDS) else 'many'
            phrases.append(f'{word} {name}{plural}')
    if len(phrases) < 2:
        return ''.join(phrases) or 'nothing'
    return ', '.join(phrases[:-1]) + ' and ' + phrases[-1]
