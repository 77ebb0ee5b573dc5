"""Finding diffusion weights, and noticing damaged ones before they are loaded."""
import pytest
import torch
from safetensors.torch import save_file

from mmdd.models.diffusions.weights import check_folder, locate_weights


class Hub:
    """Stands in for the hub: reachable or not."""

    def __init__(self, monkeypatch, error=None) -> None:
        self.error, self.asked = error, []
        monkeypatch.setattr('huggingface_hub.HfApi.repo_info', self.repo_info)

    def repo_info(self, name, timeout=None):
        self.asked.append((name, timeout))
        if self.error:
            raise self.error


def test_local_folder_asks_nobody(tmp_path, monkeypatch):
    hub = Hub(monkeypatch)
    assert locate_weights(str(tmp_path)) == str(tmp_path)
    assert hub.asked == []


def test_hub_id(monkeypatch):
    hub = Hub(monkeypatch)
    assert locate_weights('someone/model') == 'someone/model'
    assert hub.asked == [('someone/model', 5.)]


def test_cache_without_network(tmp_path, monkeypatch):
    Hub(monkeypatch, ConnectionError())
    index = tmp_path / 'snapshot' / 'model_index.json'
    monkeypatch.setattr('huggingface_hub.try_to_load_from_cache', lambda *args: str(index))
    assert locate_weights('someone/model') == str(tmp_path / 'snapshot')


def test_nowhere(monkeypatch):
    hub = Hub(monkeypatch, ConnectionError())
    monkeypatch.setattr('huggingface_hub.try_to_load_from_cache', lambda *args: None)
    with pytest.raises(ValueError, match="no diffusion weights at 'someone/model'.*local folder"):
        locate_weights('someone/model')
    assert len(hub.asked) == 1


@pytest.mark.parametrize('path', ['mmdd::priors/none', './none/sd', '/none', 'none'])
def test_missing_folder_is_no_hub_id(path, monkeypatch):
    hub = Hub(monkeypatch)
    with pytest.raises(ValueError, match='no diffusion weights at'):
        locate_weights(path)
    assert hub.asked == []


def test_check_folder(tmp_path):
    (tmp_path / 'unet').mkdir()
    file = tmp_path / 'unet' / 'model.safetensors'
    save_file(dict(a=torch.zeros(64)), str(file))
    check_folder(str(tmp_path), ['unet'])
    with pytest.raises(ValueError, match="has no 'scheduler'"):
        check_folder(str(tmp_path), ['unet'], ['scheduler'])
    with pytest.raises(ValueError, match='vae has no safetensors file'):
        check_folder(str(tmp_path), ['unet', 'vae'])
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match='cannot be read as safetensors'):
        check_folder(str(tmp_path), ['unet'])
    check_folder('someone/model', ['unet'])
