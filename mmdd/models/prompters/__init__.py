"""From labels to the text of a slot."""
from .annotation_prompter import AnnotationPrompter
from .base import BasePrompter, read_prompts, write_prompts
from .class_prompter import ClassPrompter, enumerate_classes

__all__ = [
    'AnnotationPrompter', 'BasePrompter', 'ClassPrompter', 'enumerate_classes', 'read_prompts',
    'write_prompts'
]
