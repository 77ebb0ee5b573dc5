"""Asking many questions: threads, progress, and when to give up."""
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from mmdd.utils.progress import Progress
from .answer_cache import AnswerCache
from .vlm_backend import Answer, VLMBackend, VLMError


@dataclass(frozen=True)
class Question:
    """What is asked about an image.

    Attributes:
        key: Identifies the answer in the cache.
        path: Image file.
        text: The question.
    """
    key: str
    path: str
    text: str


class QuestionRound:
    """Asks a backend and keeps every answer at once.

    Args:
        backend: The model.
        cache: Where answers are kept.
        max_failures: Failures in a row after which it gives up.
    """

    def __init__(self, backend: VLMBackend, cache: AnswerCache, max_failures: int) -> None:
        self.backend = backend
        self.cache = cache
        self.max_failures = max_failures
        self.failures: List[Tuple[Question, VLMError]] = []
        self.calls = self.prompt_tokens = self.completion_tokens = 0

    def ask(self, questions: Sequence[Question]) -> Iterator[Tuple[Question, str]]:
        """Yield (question, answer) as answers come in; empty answers too.

        Failed questions are in ``failures`` afterwards.

        Raises:
            VLMError: If asking on is pointless; what was under way is kept before.
        """
        progress = Progress(self.backend.where, len(questions), 'answers')
        in_a_row, ended = 0, False
        waiting = iter(questions)
        running: Dict[Any, Any] = {}
        with ThreadPoolExecutor(self.backend.concurrency) as pool:
            while True:
                while not ended and len(running) < self.backend.concurrency:
                    question = next(waiting, None)
                    if question is None:
                        break
                    running[pool.submit(self._ask_one, question)] = question
                if not running:
                    break
                for question, answer, error in self._finished(running):
                    if error is None:
                        in_a_row = 0
                        progress.add()
                        yield question, answer
                    else:
                        in_a_row += 1
                        self.failures.append((question, error))
                        ended = ended or error.fatal or in_a_row >= self.max_failures
        if ended:
            raise next((e for _, e in self.failures if e.fatal), self.failures[-1][1])

    def _finished(self, running: Dict[Future, Question]):
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            question = running.pop(future)
            error, answer = future.exception(), None
            if error is None:
                answer = future.result()
                self.calls += 1
                self.prompt_tokens += answer.prompt_tokens
                self.completion_tokens += answer.completion_tokens
            elif not isinstance(error, VLMError):
                raise error
            yield question, answer.text if answer else '', error

    def _ask_one(self, question: Question) -> Answer:
        """Ask in a thread; the answer is on disk before anything else can fail."""
        answer = self.backend.ask(question.path, question.text)
        self.cache.add(question.key, answer.text, question=question.text,
                       prompt_tokens=answer.prompt_tokens,
                       completion_tokens=answer.completion_tokens, **self.backend.settings())
        return answer
