"""From labels to the text of a slot."""
from .annotation_prompter import AnnotationPrompter
from .base import BasePrompter, read_prompts, write_prompts
from .class_prompter import ClassPrompter, enumerate_classes
from .openai_backend import OpenAIBackend
from .transformers_backend import TransformersBackend
from .vlm_backend import VLMBackend
from .vlm_prompter import VLMPrompter

__all__ = [
    'AnnotationPrompter', 'BasePrompter', 'ClassPrompter', 'OpenAIBackend', 'TransformersBackend',
    'VLMBackend', 'VLMPrompter', 'enumerate_classes', 'read_prompts', 'write_prompts'
]
