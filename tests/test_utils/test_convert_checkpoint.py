"""Plain checkpoints out of stock ones."""
from fractions import Fraction

import processes
import pytest
import torch

from mmdd.utils.checkpoint import read_checkpoint
from mmdd.utils.convert_checkpoint import convert_checkpoint


def test_trust_alone_converts_what_asks_for_more(tmp_path):
    source, out = str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')
    torch.save(dict(
        state_dict={'module.w': torch.ones(2)}, optimizer=dict(), note=Fraction(1, 2),
        ema_state_dict={'module.w': torch.zeros(2), 'steps': torch.tensor(3)},
        meta=dict(epoch=3, classes=('a', 'b'), note=Fraction(1, 2))), source)
    with pytest.raises(ValueError, match='a.pth: not loaded, it asks for fractions.Fraction, '):
        convert_checkpoint(source, out)
    assert not (tmp_path / 'b.pth').exists()
    assert convert_checkpoint(source, out, trust=True) == ['fractions.Fraction']
    found = read_checkpoint(out)
    assert found['meta'] == dict(epoch=3, classes=['a', 'b'], note='1/2')
    assert found['state_dict']['w'].tolist() == [1., 1.]
    assert sorted(found['ema_state_dict']) == ['module.w', 'steps'] and len(found) == 3
    with pytest.raises(ValueError, match='b.pth is there already and is not overwritten'):
        convert_checkpoint(source, out, trust=True)


def test_a_module_and_a_safe_file(tmp_path):
    layer = torch.nn.Linear(2, 1)
    torch.save(layer, tmp_path / 'module.pth')
    convert_checkpoint(str(tmp_path / 'module.pth'), str(tmp_path / 'a.pth'), trust=True)
    assert torch.equal(read_checkpoint(str(tmp_path / 'a.pth'))['state_dict']['weight'],
                       layer.weight)
    torch.save(layer.state_dict(), tmp_path / 'state.pth')
    assert convert_checkpoint(str(tmp_path / 'state.pth'), str(tmp_path / 'b.pth')) == []
    assert read_checkpoint(str(tmp_path / 'b.pth'))['meta'] == {}


def test_weights_of_another_library_are_renamed(tmp_path):
    source, out = str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')
    torch.save(dict(state_dict={'module.linear.bias': torch.ones(1),
                                'module.conv1.weight': torch.zeros(1)}), source)
    convert_checkpoint(source, out, rename=[('^linear', 'head.fc'), ('^', 'backbone.')])
    found = read_checkpoint(out)['state_dict']
    assert {name: float(value) for name, value in found.items()} == {
        'head.fc.bias': 1., 'backbone.conv1.weight': 0.}
    with pytest.raises(ValueError, match="two weights would be called 'w'"):
        convert_checkpoint(source, str(tmp_path / 'c.pth'), rename=[('.*', 'w')])


def test_what_cannot_be_converted(tmp_path):
    torch.save([1], tmp_path / 'list.pth')
    (tmp_path / 'text.pth').write_text('no checkpoint')
    for name, message in (('list', 'holds no weights'), ('none', 'none.pth can not be found'),
                          ('text', 'cannot be loaded')):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            convert_checkpoint(str(tmp_path / f'{name}.pth'), str(tmp_path / 'out.pth'), True)
        assert '\n' not in str(caught.value)
    assert not (tmp_path / 'out.pth').exists()


def test_the_command_line_needs_the_flag(hostile):
    path, out = hostile.checkpoint(), str(hostile.folder / 'out.pth')
    command = 'tools/convert_checkpoint.py', path, out
    done = processes.Started(*command)
    assert done.wait() == 1 and 'Traceback' not in done.output
    assert f'error: {path}: not loaded, it asks for posix.system' in done.output
    assert not hostile.marker.exists()
    assert f'{out}: written without posix.system' in processes.run(*command, '--trust')
    assert hostile.marker.exists()  # it is what the flag says
    assert read_checkpoint(out)['state_dict']['weight'].tolist() == [0.]
