"""Which question a vision-language model is asked, by task (UniDD, section 3.2)."""
import string
from typing import List, Optional, Sequence, Union

from mmdd.structures import Layout

TASKS = ('classification', 'detection', 'segmentation')
FIELDS = ('classes', 'objects', 'max_words')

# The paper asks for the object's class in classification; in the two other tasks also for the
# relations between objects and for their interaction with the background. It does not print its
# questions.
_FORM = ' Answer with one caption of at most {max_words} words and nothing else.'
QUESTIONS = dict(
    classification='This photo shows {classes}. Describe it: what identifies the class, its '
                   'shape, colours and pose, and where it is.' + _FORM,
    detection='This photo contains {objects}. Name these objects, tell how they stand to each '
              'other, and how they interact with the background.' + _FORM,
    segmentation='In this photo the annotated regions are {objects}. Name them, tell how they '
                 'stand to each other, and how they meet the background.' + _FORM)
CLASS_QUESTION = ('This photo is one example of {classes}. Describe how objects of this class '
                  'look in general: shape, parts, colours and usual surroundings.' + _FORM)


def task_of(annotation: Layout) -> str:
    """The task that an annotation is for: one of :data:`TASKS`."""
    return annotation.target.task


def check_questions(questions: Union[str, Sequence[str], None]) -> Optional[List[str]]:
    """Check questions given by config.

    Args:
        questions: A question, several ones, or None for the task's own.

    Raises:
        ValueError: If one is empty or has an unknown field.
    """
    if questions is None:
        return None
    questions = [questions] if isinstance(questions, str) else list(questions)
    for question in questions:
        if not isinstance(question, str) or not question.strip():
            raise ValueError(f'questions must be texts, got {question!r}')
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(question)
                      if name is not None]
        except ValueError as error:
            raise ValueError(f'question {question!r}: {error}; write a brace as {{{{ or }}}}'
                             ) from None
        unknown = [name for name in fields if name not in FIELDS]
        if unknown:
            raise ValueError(f'question {question!r} has the field {{{unknown[0]}}}; there are '
                             f'only {", ".join(f"{{{name}}}" for name in FIELDS)}')
    if not questions:
        raise ValueError('questions is empty: give one, or None for those of the task')
    return questions
