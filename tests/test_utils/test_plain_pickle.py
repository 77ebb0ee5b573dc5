"""Pickles of plain values, and what is refused."""
import io
import os
import pickle
from collections import OrderedDict

import mmengine
import numpy as np
import pytest
import yaml

from mmdd.utils.plain_pickle import load_pickle
from mmdd.utils.plain_types import UnsafeFileError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def read(content, **kwargs):
    return load_pickle(io.BytesIO(content), 'a.pkl', **kwargs)


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_plain_values_come_back(protocol):
    value = dict(number=3, text='ä', raw=b'\x00\xff', none=None, z=2 + 1j, made={1, 2},
                 order=OrderedDict(b=1, a=(2, [3.5])))
    found = read(pickle.dumps(value, protocol))
    assert found == value and list(found['order']) == ['b', 'a']


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('array', [
    np.arange(4.)[::2], np.arange(6).reshape(2, 3).T, np.eye(2, dtype='>i4'),
    np.array(['a', 'bc']), np.zeros((0, 3), np.uint8), np.array([True, False]),
    np.array(7, np.float16), np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)])
def test_arrays_come_back(protocol, array):
    found = read(pickle.dumps([(array, )], protocol))[0][0]
    assert type(found) is np.ndarray and found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    found[...] = found  # it may be written to


@pytest.mark.parametrize('value', [np.float64(.1), np.int32(-3), np.bool_(True)])
def test_numbers_of_numpy_come_back(value):
    found = read(pickle.dumps(value, 2))
    assert found == value and type(found) is type(value)


def test_a_release_of_python_2_is_read():
    # {'data': numpy.array([1, 2], 'u1')} as Python 2 pickles it
    content = (b'\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n'
               b'K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03'
               b'U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbs.')
    found = read(content, encoding='bytes')
    assert list(found) == [b'data'] and found[b'data'].tolist() == [1, 2]


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_a_command_is_not_run(hostile, protocol):
    with pytest.raises(UnsafeFileError, match='^a.pkl: not read, it asks for posix.system,'):
        read(pickle.dumps([hostile.command()], protocol))
    assert not hostile.marker.exists()


@pytest.mark.parametrize('value, asked', [
    (np.array([1, None], object), "numpy arrays of type 'O8'"),
    (np.zeros(2, [('a', 'f4')]), "numpy arrays of type 'V4'"), (len, 'len'),
    (os.path.join, 'join'), (pytest.Class, '_pytest.python.Class')])
def test_other_types_are_named(value, asked):
    with pytest.raises(UnsafeFileError, match=asked):
        read(pickle.dumps(value, 2))


def build(name, state):
    """A pickle that changes what a name stands for."""
    return b'\x80\x02c' + name + b'\n' + pickle.dumps(state, 2)[2:-1] + b'b.'


@pytest.mark.parametrize('name', [b'numpy\ndtype', b'numpy\nndarray', b'collections\nOrderedDict',
                                  b'_codecs\nencode'])
def test_the_reader_itself_cannot_be_changed(name):
    with pytest.raises(UnsafeFileError, match='a change of the reader itself'):
        read(build(name, (None, dict(__setstate__=1))))


def test_memory_layouts_of_a_file_do_not_count():
    """A dtype whose state says that its bytes are objects stays what its name says."""
    content = pickle.dumps(np.arange(3), 2)
    changed = content.replace(b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t',
                              b'NNNK\x40J\xff\xff\xff\xffK\x3ft')
    assert changed != content
    np.testing.assert_array_equal(read(changed), np.arange(3))


@pytest.mark.parametrize('content', [b'', b'no pickle', b'\x80\x02]', b'\x80\x04\x95'])
def test_what_is_no_pickle(content):
    with pytest.raises(ValueError, match='^a.pkl: no readable pickle') as caught:
        read(content)
    assert '\n' not in str(caught.value)


def test_mmengine_reads_annotations_so(hostile):
    path = hostile.pickle()
    with pytest.raises(UnsafeFileError, match='posix.system'):
        mmengine.load(path)
    yml = hostile.folder / 'hostile.yml'
    yml.write_text(f'a: !!python/object/apply:os.system ["touch {hostile.marker}"]\n')
    with pytest.raises(yaml.YAMLError):
        mmengine.load(str(yml))
    assert not hostile.marker.exists()
    mmengine.dump(dict(box=np.ones(2)), path)
    assert mmengine.load(path)['box'].tolist() == [1., 1.]
    mmengine.dump(dict(a=[1, 2]), str(yml))
    assert mmengine.load(str(yml)) == dict(a=[1, 2])
