"""What a training of LoRA weights needs from its data, and the file that it leaves."""
import os.path as osp

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from mmdd.datasets.views import plain_datasets
from mmdd.registry import HOOKS
from mmdd.utils.rank_zero import together


@HOOKS.register_module()
class LoRAHook(Hook):
    """Tells a ``LoRATrainer`` the class names, and writes its LoRA weights at the end.

    Args:
        filename: The file, in the work dir.
    """

    def __init__(self, filename: str = 'lora.safetensors') -> None:
        self.filename = filename

    def before_train(self, runner) -> None:
        """Read the class names of the training set.

        Raises:
            ValueError: If it has none.
        """
        dataset = plain_datasets(runner.train_dataloader.dataset)[0]
        classes = dataset.metainfo.get('classes')
        if not classes:
            raise ValueError('LoRAHook: the training set names no classes; give '
                             'train_dataloader.dataset metainfo=dict(classes=...)')
        trainer(runner).classes = tuple(classes)

    def after_train(self, runner) -> None:
        """Write the file and say how it is used."""
        with together():
            if is_main_process():
                path = osp.join(runner.work_dir, self.filename)
                trainer(runner).write(path)
                print_log(f'LoRA weights: {path}; a job draws with them by --cfg-options '
                          f'model.diffusion.lora.path={path}', 'current')


def trainer(runner):
    """The model of a Runner without the wrapper of a distributed job."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
