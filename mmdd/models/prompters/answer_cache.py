"""A file of paid answers: nothing is asked twice, whatever ends the job."""
import fcntl
import hashlib
import json
import os
import os.path as osp
from typing import Any, Dict

from mmengine.logging import print_log

from mmdd.utils.io import sha256, writing
from mmdd.utils.state import CHECKSUM, checksum


class AnswerCache:
    """Answers of vision-language models in a jsonl file.

    A line is written, under a lock and down to the disk, as soon as its answer is
    there, with a checksum. Several processes may write to one file. A line that was cut short
    or changed is skipped with a warning.

    Args:
        path: The file; '' keeps the answers in memory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers: Dict[str, str] = {}
        damaged = 0
        if path and osp.isfile(path):
            with open(path, 'rb') as f:
                for line in f:
                    damaged += not self._read(line)
        if damaged:
            print_log(f'{path}: {damaged} line(s) cannot be read and are skipped', 'current',
                      level=30)

    def _read(self, line: bytes) -> bool:
        if not line.strip():
            return True
        try:
            entry = json.loads(line)
            key, answer = entry['key'], entry['answer']
            whole = entry.pop(CHECKSUM, None)
        except (ValueError, KeyError, TypeError):
            return False
        if whole is not None and whole != checksum(entry):
            return False
        if not isinstance(key, str) or not isinstance(answer, str):
            return False
        self._keep(key, answer)
        return True

    def _keep(self, key: str, answer: str) -> None:
        if answer.strip():  # an empty one was paid for, but is asked again
            self.answers[key] = answer

    def add(self, key: str, answer: str, **facts: Any) -> None:
        """Keep an answer; any thread may call it.

        Args:
            key: Made by :func:`answer_key`.
            answer: What the model said, as it came.
            **facts: What else the line tells, as plain numbers and text.

        Raises:
            OSError: If the file cannot be written.
        """
        self._keep(key, answer)
        if not self.path:
            return
        entry = dict(facts, key=key, answer=answer)
        # Half a surrogate cannot be written: what is there instead is what the checksum is of.
        entry = json.loads(json.dumps(entry, ensure_ascii=False).encode('utf-8', 'replace'))
        self._append(dict(entry, **{CHECKSUM: checksum(entry)}))

    def _append(self, entry: Dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False) + '\n'
        with writing(self.path):
            os.makedirs(osp.dirname(self.path) or '.', exist_ok=True)
            with open(self.path, 'ab+') as f:
                fcntl.flock(f, fcntl.LOCK_EX)
                if f.seek(0, os.SEEK_END):
                    f.seek(-1, os.SEEK_END)
                    if f.read(1) != b'\n':  # a writer was killed inside its line
                        line = '\n' + line
                f.write(line.encode())
                f.flush()
                os.fsync(f.fileno())


def answer_key(path: str, question: str, settings: Dict[str, Any]) -> str:
    """What identifies an answer: image content, question, model and decoding settings.

    Args:
        path: Image file; its content counts, not its name.
        question: The question as it is sent.
        settings: What :meth:`VLMBackend.settings` gives.

    Returns:
        str: 64 hexadecimal digits.
    """
    text = json.dumps([sha256(path), question, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
