"""Which precision a prior is loaded in."""
import pytest
import torch

from mmdd.models.diffusions.loading import pick_dtypes


@pytest.mark.parametrize('gpu, emulates, picked', [
    (True, True, (torch.float16, torch.float32)), (True, False, (torch.bfloat16, torch.bfloat16)),
    (False, False, (torch.float32, torch.float32))])
def test_auto_takes_bf16_only_where_the_gpu_has_it(monkeypatch, gpu, emulates, picked):
    """V100 and T4 say that they support bf16 where emulation counts."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported',
                        lambda including_emulation=True: including_emulation or not emulates)
    assert pick_dtypes('auto') == picked
