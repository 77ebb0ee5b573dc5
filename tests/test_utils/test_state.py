"""State files: what is damaged is named, set aside and counts as missing."""
import errno
import json
import os

import numpy as np
import processes
import pytest
import torch

from mmdd.utils.cli import one_line
from mmdd.utils.io import CannotWrite, atomic_path, atomic_write_text, sha256, sha256_once, writing
from mmdd.utils.state import (
    Damaged,
    is_whole_checkpoint,
    latest_checkpoint,
    load_state,
    read_arrays,
    read_state,
    set_aside,
    write_arrays,
    write_state,
)

NOISE = np.random.default_rng(0).bytes(300)
CONTENT = {'text': 'ä', 'numbers': [1, 2.5, 1e-30], 'inner': {'2': None, '10': True}}


@pytest.fixture
def told(monkeypatch):
    """The warnings so far."""
    lines = []
    monkeypatch.setattr('mmdd.utils.state.print_log',
                        lambda line, logger, level: lines.append(line))
    return lines


def test_what_is_written_is_read(tmp_path, told):
    path = str(tmp_path / 'deep/state.json')
    write_state(path, CONTENT)
    assert read_state(path) == CONTENT
    assert set(json.loads(open(path).read())) == {*CONTENT, 'checksum'}
    write_state(path, {'inner': {10: 1, 9: 2}})  # keys that JSON turns into text
    assert read_state(path) == {'inner': {'10': 1, '9': 2}}
    assert read_state(str(tmp_path / 'none.json')) is None and not told
    with pytest.raises(FileNotFoundError):
        load_state(str(tmp_path / 'none.json'))


def test_a_file_without_checksum_passes_if_it_fits(tmp_path, told):
    path = tmp_path / 'old.json'
    path.write_text('{"a": 1}')
    assert read_state(str(path), lambda content: content['a'] == 1) == dict(a=1) and not told
    assert read_state(str(path), lambda content: content['b'] == 1) is None
    assert told == [f'{path} is damaged (it holds something else): kept as old.json.damaged, '
                    f'it is made again']


@pytest.mark.parametrize('spoilt, why', [
    (b'', 'it is empty'), (b'{"a": 1', 'it is no JSON'), (NOISE, 'it is no JSON'),
    (b'[1]', 'it is no JSON object'), (b'"text"', 'it is no JSON object'),
    (b'null', 'it is no JSON object'), (b'{"a": 2, "checksum": "0"}', 'its checksum differs'),
    (b'[' * 100000, 'it is no JSON')])
def test_damage(tmp_path, told, spoilt, why):
    path = tmp_path / 'state.json'
    path.write_bytes(spoilt)
    with pytest.raises(Damaged, match='state.json is damaged') as caught:
        load_state(str(path))
    assert caught.value.why == why
    assert read_state(str(path), then='it is counted anew') is None
    assert told == [f'{path} is damaged ({why}): kept as state.json.damaged, it is counted anew']
    assert (tmp_path / 'state.json.damaged').read_bytes() == spoilt and not path.exists()


def test_every_flipped_digit_is_noticed(tmp_path, told):
    path = tmp_path / 'state.json'
    write_state(str(path), dict(score=0.25))
    path.write_text(path.read_text().replace('0.25', '0.75'))
    assert read_state(str(path)) is None and len(told) == 1


def test_nothing_that_was_set_aside_is_lost(tmp_path, told):
    for text in 'abc':
        (tmp_path / 'x').write_text(text)
        (tmp_path / 'y').write_text(text)
        set_aside(str(tmp_path / 'x'), 'why', along=[str(tmp_path / 'y'), str(tmp_path / 'z')])
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
        'x.damaged': 'a', 'x.damaged2': 'b', 'x.damaged3': 'c',
        'y.damaged': 'a', 'y.damaged2': 'b', 'y.damaged3': 'c'}
    assert len(told) == 3
    set_aside(str(tmp_path / 'x'), 'another process was faster')
    assert len(told) == 3


@pytest.mark.parametrize('spoil', ['empty', 'cut', 'noise', 'flip', 'npy', 'other names', 'end'])
def test_arrays(tmp_path, told, spoil):
    path = tmp_path / 'a.npz'
    assert read_arrays(str(path)) is None and not told
    write_arrays(str(path), one=np.arange(99), two=np.float32(3))
    found = read_arrays(str(path), ('one', 'two'))
    assert found['one'].tolist() == list(range(99)) and found['two'] == 3 and not told
    content = path.read_bytes()
    if spoil == 'npy':
        np.save(tmp_path / 'a.npy', np.zeros(3))
        os.replace(tmp_path / 'a.npy', path)
    elif spoil == 'other names':
        write_arrays(str(path), three=np.zeros(2))
    else:
        path.write_bytes(dict(
            empty=b'', cut=content[:len(content) // 2], noise=NOISE,
            flip=content[:400] + bytes([content[400] ^ 1]) + content[401:],
            end=content[:-30] + NOISE[:30])[spoil])
    assert read_arrays(str(path), ('one', 'two')) is None
    assert len(told) == 1 and str(path) in told[0] and (tmp_path / 'a.npz.damaged').exists()


def checkpoint(path, number):
    torch.save(dict(state_dict=dict(weight=torch.full((500, ), float(number)))), path)


def test_the_newest_undamaged_checkpoint(tmp_path, told):
    folder = str(tmp_path)
    assert latest_checkpoint(folder) is None
    for number in (9, 10, 20, 30):
        checkpoint(tmp_path / f'iter_{number}.pth', number)
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text(str(tmp_path / 'iter_20.pth'))  # 30 is of an earlier training
    assert latest_checkpoint(folder) == str(tmp_path / 'iter_20.pth') and not told
    content = (tmp_path / 'iter_20.pth').read_bytes()
    (tmp_path / 'iter_20.pth').write_bytes(content[:-200])
    middle = len(content) // 2
    ten = (tmp_path / 'iter_10.pth').read_bytes()
    (tmp_path / 'iter_10.pth').write_bytes(
        ten[:middle] + bytes([ten[middle] ^ 1]) + ten[middle + 1:])
    assert latest_checkpoint(folder) == str(tmp_path / 'iter_9.pth')
    assert [line.split(' is damaged')[0] for line in told] == [
        str(tmp_path / f'iter_{number}.pth') for number in (20, 10)]
    for text in (b'', NOISE, b'iter_99.pth', b'\0'):
        pointer.write_bytes(text)
        assert latest_checkpoint(folder) == str(tmp_path / 'iter_30.pth')
        assert not pointer.exists() and 'names no checkpoint' in told[-1]
    pointer.write_text(str(tmp_path / 'iter_9.pth'))
    (tmp_path / 'iter_9.pth').write_bytes(b'')
    assert latest_checkpoint(folder) is None


@pytest.mark.parametrize('content', [b'', NOISE, b'PK\3\4' + NOISE])
def test_no_checkpoint(tmp_path, told, content):
    (tmp_path / 'x.pth').write_bytes(content)
    assert not is_whole_checkpoint(str(tmp_path / 'x.pth'))
    assert (tmp_path / 'x.pth.damaged').read_bytes() == content and len(told) == 1


FULL = '''
import resource, sys
from mmdd.utils.cli import run_cli
from mmdd.utils.io import atomic_copy, atomic_save_image, atomic_write_text
from mmdd.utils.state import write_arrays
import numpy as np, signal, torch
from mmdd.utils.io import atomic_path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)

def torch_file(path):
    with atomic_path(path) as tmp:
        torch.save(torch.from_numpy(noise), tmp)

def copy(path):
    atomic_copy(torch.__file__, path)

run_cli(lambda: dict(copy=copy,
    text=lambda path: atomic_write_text(path, 'x' * 9000), torch=torch_file,
    image=lambda path: atomic_save_image(path, noise),
    arrays=lambda path: write_arrays(path, noise=noise))[sys.argv[1]](sys.argv[2]))
'''


@pytest.fixture(scope='module')
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp('full') / 'full.py'
    path.write_text(FULL)
    return path


@pytest.mark.parametrize('kind, name', [
    ('text', 'a.json'), ('image', 'a.png'), ('image', 'a.jpg'), ('arrays', 'a.npz'),
    ('torch', 'a.pth'), ('copy', 'a.txt')])
def test_a_full_disk_is_told_in_one_line(full, tmp_path, kind, name):
    """A limit on the size of files stands in for the disk: write() fails as it does then."""
    path = tmp_path / name
    path.write_text('before')
    done = processes.Started(full, kind, path)
    assert done.wait() == 1 and 'Traceback' not in done.output
    line = done.output.strip().splitlines()[-1]
    assert line.startswith(f'error: {path} cannot be written (')
    assert 'what is finished is kept' in line
    assert path.read_text() == 'before' and os.listdir(tmp_path) == [name]


def test_which_errors_are_about_the_file(tmp_path):
    path = str(tmp_path / 'a/b.txt')
    with pytest.raises(CannotWrite, match=r'b.txt cannot be written \(No space left on device\)'):
        with writing(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError, match='elsewhere'):
        with atomic_path(path):
            open(tmp_path / 'a' / 'deep' / 'elsewhere')
    (tmp_path / 'file').write_text('')
    with pytest.raises(CannotWrite) as caught:
        atomic_write_text(str(tmp_path / 'file/b.txt'), 'x')
    assert one_line(caught.value).startswith(f'{tmp_path}/file/b.txt cannot be written (')


def test_a_file_is_hashed_again_once_it_changed(tmp_path):
    path = tmp_path / 'x'
    path.write_text('one')
    assert sha256_once(str(path)) == sha256(str(path))
    os.utime(path, (1, 1))
    first = sha256_once(str(path))
    path.write_text('two')
    assert sha256_once(str(path)) == sha256(str(path)) != first
