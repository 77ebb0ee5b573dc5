"""The record of a job: which damage is noticed, and what becomes of it."""
import json
import os

import numpy as np
import pytest

from mmdd.engine.journal import Journal
from mmdd.structures import DistilledSample, DistillSlot

JOB = dict(fingerprint='f', model='m', proxy='p')
NUM = 4
NOISE = np.random.default_rng(0).bytes(200)
SPOILT = [b'', b'{"slot": 0', NOISE, b'[]', b'{}', b'null']


def slots(prompt='a cat', num=NUM):
    return [DistillSlot(id=i, seed=i, size=(8, 8), labels=np.array([i]), prompt=prompt,
                        prototype={10: 1, 9: 2}) for i in range(num)]


def fill(folder, images=True):
    """A journal with a plan and an attempt at every slot."""
    journal = Journal(str(folder))
    journal.open(JOB, resume=False)
    journal.store_plan(slots())
    for slot in slots():
        image = np.full((8, 8, 3), 40 * slot.id, np.uint8)
        journal.write(DistilledSample(slot, image if images else None, labels=slot.labels,
                                      path='' if images else 'real.jpg', score=slot.id / 10))
    return journal


@pytest.fixture
def told(monkeypatch):
    """What was logged so far."""
    lines = []

    def log(line, logger=None, level=20):
        lines.append(line)
    monkeypatch.setattr('mmdd.utils.state.print_log', log)
    monkeypatch.setattr('mmdd.engine.journal.print_log', log)
    return lines


def reopened(journal):
    """Ids of the attempts that are left once the job is resumed."""
    journal.open(JOB, resume=True)
    return [slot for slot, _ in journal.keys()]


@pytest.mark.parametrize('images', [True, False])
def test_an_undamaged_job_is_left_alone(tmp_path, told, images):
    journal = fill(tmp_path / 'set', images)
    before = sorted(os.listdir(journal.attempts))
    assert reopened(journal) == list(range(NUM)) and not told
    assert sorted(os.listdir(journal.attempts)) == before
    assert len(before) == NUM * (1 + images)
    sample = journal.load_sample(slots()[2], (2, 0))
    assert sample.score == .2 and (sample.image is None or (sample.image == 80).all())


@pytest.mark.parametrize('spoilt', SPOILT)
@pytest.mark.parametrize('suffix', ['.json', '.png'])
def test_a_damaged_attempt_is_set_aside(tmp_path, told, spoilt, suffix):
    journal = fill(tmp_path / 'set')
    path = journal._path((1, 0), suffix)
    with open(path, 'wb') as f:
        f.write(spoilt)
    assert reopened(journal) == [0, 2, 3]
    assert len(told) == 1 and '000001_r0.json is damaged (' in told[0]
    assert told[0].endswith('kept as 000001_r0.json.damaged, the attempt is made again')
    assert not os.path.exists(path)
    with open(f'{path}.damaged', 'rb') as f:
        assert f.read() == spoilt
    assert reopened(journal) == [0, 2, 3] and len(told) == 1


def swap(journal, suffix):
    one, two = (journal._path((i, 0), suffix) for i in (1, 2))
    os.rename(one, f'{one}.x')
    os.rename(two, one)
    os.rename(f'{one}.x', two)


@pytest.mark.parametrize('suffix', ['.json', '.png'])
def test_swapped_files_are_noticed(tmp_path, told, suffix):
    journal = fill(tmp_path / 'set')
    swap(journal, suffix)
    assert reopened(journal) == [0, 3] and len(told) == 2


def test_a_changed_digit_and_a_missing_image_are_noticed(tmp_path, told):
    journal = fill(tmp_path / 'set')
    path = journal._path((3, 0), '.json')
    with open(path) as f:
        text = f.read()
    with open(path, 'w') as f:
        f.write(text.replace('0.3', '0.9'))
    os.unlink(journal._path((0, 0), '.png'))
    assert reopened(journal) == [1, 2]
    assert 'its image is missing' in told[0] and 'its checksum differs' in told[1]


def test_attempts_of_earlier_versions_pass_if_they_can_be_read(tmp_path, told):
    journal = fill(tmp_path / 'set')
    for key in journal.keys():
        record = journal.read(key)
        for name in ('planned', 'image'):
            del record[name]
        with open(journal._path(key, '.json'), 'w') as f:
            json.dump(record, f)
    plan = journal.plan_file
    with open(plan) as f:
        lines = f.readlines()
    with open(plan, 'w') as f:
        f.writelines(lines[1:])
    with open(os.path.join(journal.folder, 'job.json'), 'w') as f:
        json.dump(JOB, f)
    assert reopened(journal) == list(range(NUM)) and not told
    journal.store_plan(slots())
    with open(journal._path((1, 0), '.png'), 'r+b') as f:
        f.truncate(40)
    assert reopened(journal) == [0, 2, 3] and 'another one, or damaged' in told[0]


def test_strays_are_named_once(tmp_path, told):
    journal = fill(tmp_path / 'set')
    for name in ('notes.txt', '1_r0.json', 'x_r0.json', '000001_rx.json', '.tmp_half.png'):
        with open(os.path.join(journal.attempts, name), 'w') as f:
            f.write('{}')
    assert reopened(journal) == list(range(NUM))
    assert told == [f'{journal.attempts}: 4 file(s) that are no attempts are ignored: '
                    f'000001_rx.json, 1_r0.json, notes.txt']


@pytest.mark.parametrize('spoilt', [*SPOILT, b'{"id": 0}\n{"id": 2}\n', None])
def test_a_damaged_plan_is_made_again_for_the_same_slots(tmp_path, told, spoilt):
    journal = fill(tmp_path / 'set')
    with open(journal.plan_file, 'rb') as f:
        whole = f.read()

    def spoil():
        if spoilt is None:
            if os.path.exists(journal.plan_file):
                os.unlink(journal.plan_file)
        else:
            with open(journal.plan_file, 'wb') as f:
                f.write(spoilt)
    spoil()
    with pytest.raises((ValueError, FileNotFoundError), match='plan.jsonl'):
        journal.read_plan()
    journal.store_plan(slots())
    with open(journal.plan_file, 'rb') as f:
        assert f.read() == whole
    assert len(told) == (spoilt is not None) and all('plan.jsonl is damaged' in t for t in told)
    assert [DistillSlot.from_dict(entry).prompt for entry in journal.read_plan()] == ['a cat'] * 4
    for others in (slots('a dog'), slots(num=3)):
        spoil()
        with pytest.raises(ValueError, match='the plan changed .*give another --work-dir'):
            journal.store_plan(others)


def test_a_plan_that_lost_lines_is_damaged(tmp_path, told):
    journal = fill(tmp_path / 'set')
    with open(journal.plan_file) as f:
        lines = f.readlines()
    for kept in (lines[:-1], lines[:1], [lines[0], *lines[2:]], [*lines, lines[-1]]):
        with open(journal.plan_file, 'w') as f:
            f.writelines(kept)
        with pytest.raises(ValueError, match='plan.jsonl is damaged .*its checksum differs'):
            journal.read_plan()


def test_another_plan_is_refused_once_images_are_made(tmp_path):
    journal = Journal(str(tmp_path / 'set'))
    journal.open(JOB, resume=False)
    for planned in (slots(), slots('a dog'), slots(num=3)):
        journal.store_plan(planned)
        assert len(journal.read_plan()) == len(planned)
    journal.write(DistilledSample(slots()[0], np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(ValueError, match='the plan changed since the job was started'):
        journal.store_plan(slots())


@pytest.mark.parametrize('spoilt', SPOILT)
def test_a_damaged_description_of_the_job(tmp_path, told, spoilt):
    journal = fill(tmp_path / 'set')
    path = os.path.join(journal.folder, 'job.json')

    def spoil():
        with open(path, 'wb') as f:
            f.write(spoilt)
    spoil()
    with pytest.raises(ValueError, match='job.json is damaged .*put a copy of it back, or move'):
        journal.open(JOB, resume=True)
    with open(tmp_path / 'set/manifest.json', 'w') as f:
        json.dump(dict(job=JOB), f)
    with pytest.raises(ValueError, match='another config .other model'):
        journal.open(dict(JOB, model='other'), resume=True)
    assert reopened(journal) == list(range(NUM)) and journal.job() == JOB
    assert len(told) == 1 and 'job.json is damaged (' in told[0]
    # Nothing that was made hangs on it.
    for key in list(journal.keys()):
        os.unlink(journal._path(key, '.json'))
    for name in ('set/manifest.json', 'set/_job/job.json.damaged'):
        os.unlink(tmp_path / name)
    spoil()
    assert reopened(journal) == [] and journal.job() == JOB


@pytest.mark.parametrize('resume', [True, False])
def test_a_job_that_made_nothing_gives_way(tmp_path, told, resume):
    journal = Journal(str(tmp_path / 'set'))
    journal.open(JOB, resume=False)
    journal.store_plan(slots())
    assert journal.check(JOB, resume) and not told
    other = dict(JOB, model='corrected', fingerprint='g')
    assert not journal.check(other, resume)
    journal.open(other, resume)
    assert journal.job() == other and not os.path.exists(journal.plan_file)
    earlier = f'{journal.folder}.earlier'
    assert sorted(os.listdir(earlier)) == ['attempts', 'job.json', 'plan.jsonl']
    assert told == [f'{journal.out_dir} held another job, which had made no image: this one takes '
                    f'its place, what was prepared is kept in {earlier}']
    journal.write(DistilledSample(slots()[0], np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(ValueError, match='another config .other model'):
        journal.open(JOB, resume)


def test_files_of_a_set_are_never_given_up(tmp_path):
    journal = Journal(str(tmp_path / 'set'))
    journal.open(JOB, resume=False)
    (tmp_path / 'set/manifest.json').write_text('{}')
    with pytest.raises(ValueError, match='another config'):
        journal.open(dict(JOB, model='other'), resume=True)


def test_a_job_killed_while_it_took_the_place_of_another_goes_on(tmp_path):
    """What an earlier one had prepared is kept beside, and nothing else is there yet."""
    earlier = tmp_path / 'set/_job.earlier'
    earlier.mkdir(parents=True)
    (earlier / 'job.json').write_text('{}')
    journal = Journal(str(tmp_path / 'set'))
    assert journal.check(JOB, resume=True) is False
    journal.open(JOB, resume=True)
    assert journal.job()['fingerprint'] == 'f'
    (tmp_path / 'other/_job.earlier').mkdir(parents=True)
    (tmp_path / 'other/photo.jpg').write_text('x')
    with pytest.raises(ValueError, match='holds files of something else'):
        Journal(str(tmp_path / 'other')).check(JOB, resume=True)
