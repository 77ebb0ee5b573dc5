"""Task-aligned contextual prompting with a vision-language model (UniDD, section 3.2)."""
import os.path as osp
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from mmengine.logging import print_log

from mmdd.registry import TASK_UTILS
from mmdd.structures import Layout
from .annotation_prompter import AnnotationPrompter
from .answer_cache import AnswerCache, answer_key
from .answers import clean_answer, names_any
from .base import BasePrompter
from .class_prompter import ClassPrompter, enumerate_classes
from .questions import CLASS_QUESTION, QUESTIONS, TASKS, check_questions, task_of
from .vlm_asking import Question, QuestionRound
from .vlm_backend import VLMBackend, VLMError


@TASK_UTILS.register_module()
class VLMPrompter(BasePrompter):
    """Makes prompts out of what a vision-language model says about the real images.

    Section 3.2 of `Towards Universal Dataset Distillation via Task-Driven
    Diffusion` (CVPR 2025): questions aligned with the task are asked about real
    images. For classification they are about the object of the class, for
    detection and segmentation also about the relations between objects and their
    interaction with the background. The paper asks GPT-4o; it prints neither its
    questions nor whether it asks per image or per class.

    Only the images that the budget chose are asked about. Every answer is on
    disk in ``cache`` as soon as it is there, so nothing is paid for twice.

    Args:
        backend: Config of the model: ``OpenAIBackend`` or ``TransformersBackend``.
        task: 'classification', 'detection' or 'segmentation'; None takes what the
            annotations are for.
        per: 'image' asks about each image. 'class' asks once per class, about the
            first of its images by name, and gives all images of the class one
            prompt: cheap, but without variety; single-label images only.
        questions: A question, or several whose answers are joined. Fields:
            ``{classes}`` counted class names, ``{objects}`` classes with places and
            relations, ``{max_words}``. None takes the task's own.
        max_words: Words of a prompt; CLIP reads 77 tokens.
        plural: Suffix of a class name that is counted more than once.
        max_objects: How many objects ``{objects}`` places, largest first.
        cache: jsonl file of answers, which several jobs may share; '' for none.
            None keeps it in the work dir, or beside the prompt file.
        max_calls: Most questions one run may ask; None for no limit.
        max_failures: Failed questions in a row after which the job ends.
        fallback: Take the prompt of ``ClassPrompter`` where the model gives an
            empty answer or refuses, instead of ending the job.

    Raises:
        ValueError: If a setting is out of range.
    """

    reads_images = True
    runtime_settings = ('cache', 'max_calls', 'max_failures')
    limits = dict(per=('image', 'class'), max_words=dict(low=5), max_objects=dict(low=1),
                  max_calls=dict(low=0), max_failures=dict(low=1))

    def __init__(self,
                 backend: Union[dict, VLMBackend],
                 task: Optional[str] = None,
                 per: str = 'image',
                 questions: Union[str, Sequence[str], None] = None,
                 max_words: int = 60,
                 plural: str = 's',
                 max_objects: int = 4,
                 cache: Optional[str] = None,
                 max_calls: Optional[int] = None,
                 max_failures: int = 5,
                 fallback: bool = False) -> None:
        if task is not None and task not in TASKS:
            raise ValueError(f'task must be one of {", ".join(TASKS)} or None, got {task!r}')
        if per not in ('image', 'class'):
            raise ValueError(f"per must be 'image' or 'class', got {per!r}")
        if max_words < 5 or max_failures < 1 or (max_calls is not None and max_calls < 0):
            raise ValueError(f'max_words >= 5, max_failures >= 1 and max_calls >= 0 are needed, '
                             f'got {max_words}, {max_failures} and {max_calls}')
        self.backend: VLMBackend = TASK_UTILS.build(backend) if isinstance(
            backend, Mapping) else backend
        self.task = task
        self.per = per
        self.questions = check_questions(questions)
        self.max_words = max_words
        self.plain = ClassPrompter(plural=plural)
        self.places = AnnotationPrompter('{objects}', max_objects=max_objects, plural=plural)
        self.cache = cache
        self._answers = cache or ''
        self.max_calls = max_calls
        self.max_failures = max_failures
        self.fallback = fallback
        self._examples: Dict[int, Layout] = {}

    def check(self) -> None:
        """Check that the model can be asked: key, endpoint, weights."""
        self.backend.check()

    def describe(self, annotation: Layout, classes: Sequence[str]) -> str:
        """Return the prompt for one annotated image."""
        return dict(self.describe_all([annotation], classes))[annotation.image_id]

    def keep_in(self, folder: str) -> None:
        """Keep answers, which may be paid for, in a work dir if ``cache`` is None."""
        if self.cache is None:
            self.cache = f'{folder}/vlm_cache.jsonl'

    def prompts(self, annotations: Sequence[Layout], classes: Sequence[str],
                cache: str = '') -> List[str]:
        """As the base class; ``cache`` also says where the answers go by default."""
        beside = osp.join(osp.dirname(cache), 'vlm_cache.jsonl') if cache else ''
        self._answers = beside if self.cache is None else self.cache
        if self.per == 'class':
            self._examples = examples_of(annotations)
        return super().prompts(annotations, classes, cache)

    def describe_all(self, annotations: Sequence[Layout],
                     classes: Sequence[str]) -> Iterator[Tuple[str, str]]:
        """Yield (image id, prompt): first what the cache knows, then as answers come.

        Raises:
            ValueError: If ``max_calls`` is too low, or some images got no prompt.
        """
        if not annotations:
            return
        cache = AnswerCache(self._answers)
        images = {a.image_id: (a, self._questions(a, classes)) for a in annotations}
        users: Dict[str, List[str]] = {}
        for image_id, (_, questions) in images.items():
            for question in questions:
                users.setdefault(question.key, []).append(image_id)
        made = set()

        def finished(image_ids: Iterable[str]) -> Iterator[Tuple[str, str]]:
            for image_id in image_ids:
                annotation, questions = images[image_id]
                answers = [cache.answers[q.key] for q in questions
                           if cache.answers.get(q.key) is not None]
                whole = len(answers) == len(questions)
                text = self._prompt(annotation, classes, answers) if whole else ''
                if text and image_id not in made:
                    made.add(image_id)
                    yield image_id, text

        missing = {q.key: q for _, questions in images.values() for q in questions
                   if q.key not in cache.answers}
        self._announce(len(images), len(users), len(missing))
        yield from finished(images)
        for question in self._ask(list(missing.values()), cache):
            yield from finished(users[question.key])
        left = [annotation for annotation, _ in images.values()
                if annotation.image_id not in made]
        yield from self._replace(left, classes)

    def _questions(self, annotation: Layout, classes: Sequence[str]) -> List[Question]:
        """What is asked for the prompt of an image."""
        task = self.task or task_of(annotation)
        texts = self.questions or [
            CLASS_QUESTION if self.per == 'class' else QUESTIONS[task]]
        source = annotation
        if self.per == 'class':
            if task != 'classification' or len(annotation.labels) != 1:
                raise ValueError(f"per='class' needs images of one class each, but "
                                 f'{annotation.image_id!r} is for {task} with '
                                 f"{len(annotation.labels)} labels: set per='image'")
            source = self._examples.get(int(annotation.labels[0]), annotation)
        fields = dict(
            classes=enumerate_classes([classes[i] for i in source.labels], self.plain.plural),
            objects=self.places.describe(source, classes), max_words=self.max_words)
        if not source.path:
            raise ValueError(
                f'VLMPrompter describes real images, and {source.image_id!r} is composed of '
                f'{len(source.sources)}: set model.prompter to '
                f"dict(type='AnnotationPrompter')")
        if not osp.isfile(source.path):
            raise ValueError(f'{source.path}, the image of {source.image_id!r}, is not there')
        texts = [text.format(**fields) for text in texts]
        settings = self.backend.settings()
        return [Question(answer_key(source.path, text, settings), source.path, text)
                for text in texts]

    def _prompt(self, annotation: Layout, classes: Sequence[str],
                answers: Sequence[str]) -> str:
        """One line out of the answers; '' if none is of use."""
        texts = [clean_answer(answer, self.max_words) for answer in answers]
        text = ', '.join(text for text in texts if text)
        if not text:
            return ''
        if not names_any(text, {classes[label] for label in annotation.labels}):
            text = f'{self.plain.describe(annotation, classes)}, {text}'
        return clean_answer(text, self.max_words)

    def _announce(self, images: int, answers: int, calls: int) -> None:
        """Say what is going to be asked, before anything is.

        Raises:
            ValueError: If that is more than ``max_calls``.
        """
        tokens = self.backend.image_tokens()
        cost = f', about {calls * tokens:,} image tokens' if tokens and calls else ''
        print_log(f'{self.backend.where} describes {images} images: {calls} questions to ask, '
                  f'{answers - calls} answered before{cost}', 'current')
        if self.max_calls is not None and calls > self.max_calls:
            raise ValueError(f'{calls} questions to {self.backend.where} are needed, but '
                             f'max_calls is {self.max_calls}: raise model.prompter.max_calls or '
                             f'lower the budget; nothing was asked')

    def _ask(self, questions: List[Question], cache: AnswerCache) -> Iterator[Question]:
        """Yield the questions as they are answered; the cache has the answers.

        Raises:
            ValueError: If some could not be asked; all answers are kept.
        """
        if not questions:
            return
        asked = QuestionRound(self.backend, cache, self.max_failures)
        error = None
        try:
            self.backend.load()
            for question, _ in asked.ask(questions):
                yield question
        except VLMError as e:
            error = e
        finally:
            self.backend.release()
            print_log(f'{self.backend.where}: {asked.calls} of {len(questions)} questions '
                      f'answered, {asked.prompt_tokens:,} tokens in and '
                      f'{asked.completion_tokens:,} out, kept in '
                      f'{cache.path or "memory"}', 'current')
        if error is None and asked.failures:
            error = asked.failures[-1][1]
        if error is not None:
            raise ValueError(
                f'{error}; {len(questions) - asked.calls} of {len(questions)} questions are '
                f'open, all answers are kept in {cache.path or "memory"}: fix it and start again '
                f'with --resume')

    def _replace(self, annotations: List[Layout],
                 classes: Sequence[str]) -> Iterator[Tuple[str, str]]:
        """Plain prompts for images whose answers are of no use.

        Raises:
            ValueError: If there are any and ``fallback`` is not set.
        """
        if not annotations:
            return
        told = (f'{self.backend.where} gives no usable answer about {len(annotations)} image(s), '
                f'first {annotations[0].image_id!r}')
        if not self.fallback:
            raise ValueError(f'{told}: write the prompts by hand into the prompt file, or set '
                             f'model.prompter.fallback=True; start again with --resume')
        print_log(f'{told}; they get plain prompts', 'current', level=30)
        for annotation in annotations:
            yield annotation.image_id, self.plain.describe(annotation, classes)


def examples_of(annotations: Sequence[Layout]) -> Dict[int, Layout]:
    """The first image of each class by name, whatever the order of ``annotations``."""
    examples: Dict[int, Layout] = {}
    for annotation in sorted(annotations, key=lambda a: a.image_id):
        for label in annotation.labels[:1]:
            examples.setdefault(int(label), annotation)
    return examples
