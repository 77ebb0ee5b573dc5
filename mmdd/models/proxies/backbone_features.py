"""Features of an ImageNet backbone, for those who have no trained proxy."""
import os.path as osp
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmdd.registry import MODELS
from mmdd.utils.checkpoint import download, read_checkpoint, weights_of
from mmdd.utils.config import load_config, resolve_path, suggestion
from mmdd.utils.finite import check_weights
from mmdd.utils.plain_types import UnsafeFileError
from .base import TaskProxy
from .view import resize

# RGB in [0, 1], as torchvision normalises for its ImageNet weights.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class BackboneFeatures(TaskProxy):
    """A frozen classifier used for its features only; it is never trained.

    The features are what the classifier's last layer sees, averaged over the
    places of a map: 512 numbers of a ResNet-18, 2048 of a ResNet-50.

    Args:
        cfg: mmpretrain config of any classifier: a path, ``mmpretrain::...``, a
            dict, or a list of these. Or a torchvision model,
            ``dict(type='torchvision', name='resnet18')``; further keys go to it.
        checkpoint: Weights: a file (.pth, .pt or .safetensors), a URL, or the name
            of a model in mmpretrain's index, such as 'resnet18_8xb32_in1k'. What
            belongs to the last layer may be missing.
        input_size: (height, width) to which images are resized first, one
            number for squares; None takes them as they are.

    Raises:
        ValueError: If the model is unknown or the weights do not fit.
    """

    scope = 'mmpretrain'
    gives_scores = False
    trained_by_job = False
    limits = dict(input_size=dict(low=8))

    def __init__(self,
                 cfg: Union[str, Mapping, Sequence],
                 checkpoint: Optional[str] = None,
                 input_size: Union[int, Tuple[int, int], None] = None) -> None:
        super(TaskProxy, self).__init__()
        self.cfg = load_config(cfg)
        self.checkpoint = checkpoint
        self.input_size: Optional[Tuple[int, int]] = (
            (input_size, input_size) if isinstance(input_size, int) else input_size)
        self.from_torchvision = self.cfg.get('type') == 'torchvision'
        if self.from_torchvision:
            self.model = build_torchvision(self.cfg)
        elif self.cfg.get('model') is None:
            raise ValueError("BackboneFeatures: cfg has no 'model'; give an mmpretrain config or "
                             "dict(type='torchvision', name=...)")
        else:
            self.model = self._build(self.cfg.model)
        self.head = last_layer(self.model, '' if self.from_torchvision else 'head.')
        if checkpoint is not None:
            self.load(checkpoint)
        self.requires_grad_(False).eval()

    @classmethod
    def local_checkpoint(cls, checkpoint: Optional[str]) -> str:
        """The weights as a file; a URL or a name of mmpretrain's index is downloaded once.

        Downloads lie under torch.hub's folder (TORCH_HOME). All ranks must call it.

        Raises:
            ValueError: If there is nothing of that name, or it cannot be downloaded.
        """
        if checkpoint is None:
            raise ValueError(
                'BackboneFeatures needs weights, it is not trained: set checkpoint to a file '
                "(.pth, .safetensors), a URL or a name such as 'resnet18_8xb32_in1k'")
        if '://' in checkpoint:
            return download(checkpoint)
        try:
            return resolve_path(checkpoint)
        except FileNotFoundError:
            url = None if osp.splitext(checkpoint)[1] in SUFFIXES else find_url(checkpoint)
        if url is None:
            raise ValueError(
                f'BackboneFeatures: no weights at {checkpoint!r}; give a file (.pth, '
                f".safetensors), a URL or a name such as 'resnet18_8xb32_in1k'")
        return download(url)

    def load(self, checkpoint: str) -> None:
        """Load weights, those of the last layer aside.

        Raises:
            ValueError: If the file is missing, unreadable, of another model or not finite.
        """
        path = self.local_checkpoint(checkpoint)
        unused = (f'{self.head}.', 'data_preprocessor.')
        own = {key: value for key, value in self.model.state_dict().items()
               if not key.startswith(unused) and not key.endswith('num_batches_tracked')}
        found = read_weights(path)
        missing = [key for key, value in own.items()
                   if key not in found or found[key].shape != value.shape]
        if missing:
            raise ValueError(
                f'{path}: the weights are of another model: {len(missing)} of {len(own)} are '
                f'missing or of another shape, the first is {missing[0]!r}; correct '
                f'BackboneFeatures.cfg or give another checkpoint')
        self.model.load_state_dict({key: found[key].float() for key in own}, strict=False)
        check_weights(self.model, path)

    @property
    def classes(self) -> None:
        """None: the classes of the backbone have nothing to do with the real set."""

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the last layer of the classifier sees, (B, D).

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Raises:
            ValueError: If there are no weights: random ones say nothing.
        """
        if self.checkpoint is None:
            self.local_checkpoint(None)
        if self.input_size is not None:
            images = resize(images, self.input_size, backend='pillow')
        found = self._torchvision(images) if self.from_torchvision else self._mmpretrain(images)
        places = tuple(range(2, found.ndim)) if found.ndim != 3 else (1, )
        return found.float().mean(places) if places else found.float()

    def _mmpretrain(self, images: Tensor) -> Tensor:
        stage = 'pre_logits' if hasattr(getattr(self.model, 'head', None),
                                        'pre_logits') else 'neck'
        found = self.model.extract_feat(self.normalize(images), stage=stage)
        while isinstance(found, (list, tuple)):
            found = found[-1]
        return found

    def _torchvision(self, images: Tensor) -> Tensor:
        x = images.float()
        x = (x - x.new_tensor(IMAGENET_MEAN).view(3, 1, 1)) / x.new_tensor(IMAGENET_STD).view(
            3, 1, 1)
        seen = []
        handle = self.model.get_submodule(self.head).register_forward_pre_hook(
            lambda _, args: seen.append(args[0]))
        try:
            self.model(x)
        finally:
            handle.remove()
        return seen[-1]

    def energy(self, *args, **kwargs) -> Tensor:
        """Refuse: there is no task.

        Raises:
            ValueError: Always.
        """
        raise ValueError('BackboneFeatures gives features only; guidance and refinement need a '
                         'ClassifierProxy, DetectorProxy or SegmentorProxy')

    predict: Any = energy
    score: Any = energy
    relabel: Any = energy
    is_sure: Any = energy
    merge: Any = energy


SUFFIXES = ('.pth', '.pt', '.th', '.bin', '.safetensors')


def build_torchvision(cfg: Config) -> nn.Module:
    """Build a torchvision classifier with random weights.

    Raises:
        ValueError: If the name or an argument is unknown.
    """
    from torchvision import models
    kwargs = {key: value for key, value in cfg.items() if key not in ('type', 'name')}
    name = cfg.get('name')
    names = models.list_models(module=models)
    if name not in names:
        raise ValueError(f'BackboneFeatures: torchvision has no classifier {name!r}'
                         f'{suggestion(str(name), names)}')
    if name in ('googlenet', 'inception_v3'):
        kwargs.setdefault('init_weights', False)
    try:
        return models.get_model(name, weights=None, **kwargs)
    except TypeError as error:
        raise ValueError(f'BackboneFeatures: torchvision {name}: {error}') from None


def last_layer(model: nn.Module, within: str = '') -> str:
    """Name of the last linear or convolutional layer: the one that gives the classes.

    Args:
        model: A classifier that defines its layers in the order of their use.
        within: What the name must begin with; '' is returned where nothing does.
    """
    names = [name for name, module in model.named_modules()
             if isinstance(module, (nn.Linear, nn.Conv2d)) and name.startswith(within)]
    return names[-1] if names else ''


def read_weights(path: str) -> Dict[str, Tensor]:
    """A state dict from a .safetensors file or a checkpoint, without wrappers.

    Raises:
        ValueError: If the file cannot be read or holds no weights.
    """
    from safetensors.torch import load_file
    try:
        content = load_file(path) if path.endswith('.safetensors') else read_checkpoint(path)
    except UnsafeFileError:
        raise
    except Exception as e:  # safetensors has an error class of its own
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
        raise ValueError(f'{path}: cannot be read as weights ({reason}); give another checkpoint'
                         ) from None
    found = weights_of(content)
    if not found:
        raise ValueError(f'{path}: holds no weights; give another checkpoint')
    return found


def find_url(name: str) -> Optional[str]:
    """Where mmpretrain's index has the weights of a model, if it knows the name."""
    from mmpretrain.apis.model import ModelHub
    try:
        return ModelHub.get(name).weights
    except ValueError:
        return None
