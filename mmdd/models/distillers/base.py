"""The interface of dataset distillers."""
import time
from dataclasses import replace
from typing import (
    Any,
    Callable,
    Collection,
    ContextManager,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from mmdd.datasets.annotations import annotations_from_batch
from mmdd.datasets.class_names import spoken_names
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import (
    BACKGROUND,
    BaseBudget,
    Canvas,
    DistilledSample,
    DistillSlot,
    Layout,
    RealAnnotation,
    slot_seed,
)
from mmdd.utils.components import class_of
from mmdd.utils.numbers import check_number
from mmdd.utils.seed import derive_seed
from mmdd.utils.signature import check_overrides
from mmdd.utils.stage_clock import StageClock
from ..label_samplers.layouts import sample_layouts, usable_annotations
from ..proxies.scoring import judge_samples
from ..set_stages import SetStages
from .pictures import drawing_faults, to_uint8


class DatasetDistiller(BaseModel):
    """Makes a small dataset from a large one; a Runner's ``model``.

    ``DistillLoop`` calls, in this order, :meth:`collect` once per batch of the
    real set, :meth:`plan` once, and :meth:`distill_step` and :meth:`refine` for
    each batch of slots. A method overrides what it does differently.

    Args:
        diffusion: Config of the diffusion adapter.
        proxy: Config of the task proxy.
        judge: Config of a second task proxy, of another architecture or seed, whose score
            stands beside the proxy's. It never guides and never labels; refiners and the pool
            may filter by it.
        label_sampler: Config of what the slots ask for: the labels of a real image each
            (``RandomLabelSampler``, the default, ``BalancedLabelSampler``,
            ``DensestLabelSampler``, ``CoresetLabelSampler``), or objects of several
            (``ComposedLabelSampler``).
        prompter: Config of the prompter.
        initializer: Config of what sampling starts from instead of noise, such as a
            ``CollageInitializer``.
        pool: Config of a ``CandidatePool``: several candidates are tried for each slot. None
            draws one.
        refiners: Configs of the refiners, applied in order.
        set_stages: Configs of the set stages: selection from a pool, then what makes
            several images of a sample.
        image_size: (height, width) of synthetic images in pixels; one number
            for squares.
        min_box: Boxes with a shorter side than this, in pixels of the synthetic
            image, are not asked for.
        prompt_file: jsonl file of prompts, completed and reused; hand-editable.
            None keeps it beside the distilled set.
        seed: Everything random in the distilled set follows from it.

    Attributes:
        draws: Whether images are sampled from the diffusion, so that a pool can try several.
        takes_over: Whether the images are real ones, with the annotations of their files.
        dry_run_settings: Settings that a dry run, on a few images, sets to other values.
        runtime_settings: Settings that change speed or place, never the images: a job with
            other values of them is the same job. Every component may declare its own.

    Raises:
        ValueError: If a part is missing that another one needs.
    """

    draws = True
    takes_over = False
    dry_run_settings: Mapping[str, Any] = {}
    runtime_settings: Tuple[str, ...] = ('prompt_file', )
    limits: Dict[str, Any] = dict(image_size=dict(low=8), min_box=dict(low=0), seed=dict(low=0))

    def __init__(self,
                 diffusion: Optional[dict] = None,
                 proxy: Optional[dict] = None,
                 judge: Optional[dict] = None,
                 label_sampler: Optional[dict] = None,
                 prompter: Optional[dict] = None,
                 initializer: Optional[dict] = None,
                 pool: Optional[dict] = None,
                 refiners: Sequence[dict] = (),
                 set_stages: Sequence[dict] = (),
                 image_size: Union[int, Tuple[int, int]] = 512,
                 min_box: float = 4.,
                 prompt_file: Optional[str] = None,
                 seed: int = 0,
                 data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor)
        self.diffusion = None if diffusion is None else MODELS.build(diffusion)
        self.proxy = None if proxy is None else MODELS.build(proxy)
        self.judge = None if judge is None else MODELS.build(judge)
        self.label_sampler = TASK_UTILS.build(label_sampler or dict(type='RandomLabelSampler'))
        check_overrides('model.label_sampler', type(self.label_sampler))
        self.prompter = None if prompter is None else TASK_UTILS.build(prompter)
        self.initializer = None if initializer is None else TASK_UTILS.build(initializer)
        if self.initializer is not None and not self.starts_from_noise():
            raise ValueError(f'model.initializer: {type(self).__name__} knows by itself what its '
                             f'images start from; remove it')
        self.pool = None if pool is None else TASK_UTILS.build(pool)
        self.refiners = [TASK_UTILS.build(refiner) for refiner in refiners]
        self.check_parts({name for name in ('diffusion', 'proxy', 'judge')
                          if getattr(self, name) is not None}, self.pool, self.refiners)
        self.set_stages = SetStages([TASK_UTILS.build(stage) for stage in set_stages])
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.image_size = (height, width)
        self.min_box = check_number('model.min_box', min_box)
        self.prompt_file = prompt_file
        self.seed = seed
        self.classes: Tuple[str, ...] = ()
        # What the job asks for; known before the real set is read.
        self.budget: Optional[BaseBudget] = None
        self.annotations: List[RealAnnotation] = []
        # Images of the largest batch of the real set: what its passes take at a time.
        self.read_batch = 1
        self.clock = StageClock(lambda: getattr(self.diffusion, 'passes', 0))
        self.label_sampler.bind(self)

    @classmethod
    def starts_from_noise(cls) -> bool:
        """Whether an initializer may replace the noise that sampling starts from."""
        return cls.draws and cls.initial_latents is DatasetDistiller.initial_latents

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check settings of a job's model that depend on each other, before it is built.

        Args:
            cfg: Config of this distiller.

        Raises:
            ValueError: If they do not go together.
        """
        sampler, prompter = (class_of(TASK_UTILS, cfg.get(name))
                             for name in ('label_sampler', 'prompter'))
        if getattr(sampler, 'composes', False) and getattr(prompter, 'reads_images', False):
            raise ValueError(
                f'{prompter.__name__} describes real images, and no single one shows what '
                f'{sampler.__name__} asks for: set model.prompter to '
                f"dict(type='AnnotationPrompter')")

    @classmethod
    def check_parts(cls, present: Collection[str], pool: Any, refiners: Sequence[Any]) -> None:
        """Check that pool and refiners have what they need.

        Args:
            present: Which of 'diffusion', 'proxy' and 'judge' the config gives.
            pool: The pool, or None.
            refiners: The refiners.

        Raises:
            ValueError: If something is missing, or the distiller samples no images for a pool.
        """
        if pool is not None and not cls.draws:
            raise ValueError(f'model.pool: {cls.__name__} samples no images to choose from; '
                             f'remove it')
        for part in ([] if pool is None else [pool]) + list(refiners):
            for name in getattr(part, 'needs', ()):
                if name not in present:
                    raise ValueError(f'{type(part).__name__} needs model.{name}; the config '
                                     f'gives none')

    @classmethod
    def check_classes(cls, cfg: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Check that this distiller can work with the classes of the real set.

        Args:
            cfg: Config of this distiller.
            classes: Class names by label index.

        Raises:
            ValueError: If not.
        """

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    def forward(self, *args, **kwargs):
        """Distillers have no forward pass: their job is ``distill_step``."""
        raise NotImplementedError('a DatasetDistiller is run by DistillLoop')

    @property
    def stage_seconds(self) -> Dict[str, float]:
        """Wall-clock seconds by the name of the stage, see :meth:`timed`."""
        return {name: cost['seconds'] for name, cost in self.clock.report().items()}

    def timed(self, name: str, deploy: Optional[bool] = None) -> ContextManager[None]:
        """A block whose seconds and denoiser evaluations the manifest names.

        The stages of ``DistillLoop`` ('prepare', 'plan', 'synthesize', 'write') are there
        already; a method names what else takes long: ``with self.timed('score'): ...``.

        Args:
            name: Name of the stage; a few lower-case words.
            deploy: Whether it is a one-time cost of a real set rather than one of every distilled
                set; None says so of what runs in :meth:`collect` and :meth:`finish_collect`.
        """
        return self.clock.timed(name, deploy)

    def collect(self, data_batch: Dict[str, Any]) -> None:
        """Learn from one batch of the real set; keeps the annotations."""
        found = annotations_from_batch(data_batch, self.classes)
        self.annotations += found
        self.read_batch = max(self.read_batch, len(found))

    def finish_collect(self, folder: Optional[str] = None) -> None:
        """Called once on every rank when the real set was read; here for the label sampler.

        Args:
            folder: Where a resumed job finds again what this one computes.
        """
        self.label_sampler.finish_collect(self, folder)

    def plan(self, budget: BaseBudget) -> List[DistillSlot]:
        """Decide which images are to be made.

        Labels and prompt of each slot come from the layout that the label sampler gave it.

        Raises:
            ValueError: If the budget does not fit the real set.
        """
        num = budget.resolve(len(self.annotations), len(self.classes))
        usable, dropped = usable_annotations(self.annotations, self.canvas)
        if dropped:
            print_log(f'{dropped} boxes are smaller than {self.min_box} pixels at '
                      f'{self.image_size} and are not asked for', 'current')
        if num > len(usable):
            raise ValueError(
                f'{budget}: {num} images are asked for, but only {len(usable)} of '
                f'{len(self.annotations)} real images have labels to ask for (boxes of at least '
                f'{self.min_box} pixels at {self.image_size}); lower the budget or model.min_box')
        chosen = self._choose_labels(usable, budget, num)
        layouts = [layout for layout, _ in chosen]
        prompts = [''] * len(chosen) if self.prompter is None else self.prompter.prompts(
            layouts, spoken_names(self.classes), self.prompt_file or '')
        return [self._slot(i, layout, prompt, group)
                for i, ((layout, group), prompt) in enumerate(zip(chosen, prompts))]

    @property
    def canvas(self) -> Canvas:
        """What layouts are made for."""
        background = self.classes.index(BACKGROUND) if BACKGROUND in self.classes else None
        return Canvas(self.image_size, self.min_box, background)

    def _choose_labels(self, usable: List[RealAnnotation], budget: BaseBudget,
                       num: int) -> List[Tuple[Layout, int]]:
        """(layout, group) of what is asked for, group by group."""
        chosen: List[Tuple[Layout, int]] = []
        groups = budget.groups([a.labels for a in usable], len(self.classes), num)
        for number, (members, quota) in enumerate(groups):
            seed = self.seed if len(groups) == 1 else derive_seed('group', self.seed, number)
            picked = sample_layouts(
                self.label_sampler, [usable[i] for i in members],
                self.set_stages.slots(quota), len(self.classes), seed, self.canvas)
            chosen += [(layout, number) for layout in picked]
        return chosen

    def _slot(self, index: int, layout: Layout, prompt: str, group: int = 0) -> DistillSlot:
        sources = tuple(source.image_id for source in layout.sources)
        return DistillSlot(
            id=index, seed=slot_seed(self.seed, index), size=self.image_size,
            target=layout.resized(self.image_size), prompt=prompt,
            source=sources[0] if len(sources) == 1 else '', sources=sources,
            source_path=layout.sources[0].path if len(sources) == 1 else '', group=group,
            prototype=self.initializer and self.initializer.describe(layout))

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Make one sample for each slot; here the diffusion draws it, or the pool chooses it.

        Args:
            slots: Slots of one batch.
            call_hook: ``runner.call_hook``, to fire the denoising stages.
        """
        if self.pool is not None:
            return self.pool.sample(self, slots, call_hook)
        return self.draw(slots, call_hook)

    def draw(self, slots: List[DistillSlot], call_hook: Callable) -> List[DistilledSample]:
        """Let the diffusion draw one image for each slot; arguments as of :meth:`distill_step`."""
        begin = time.perf_counter()
        init, strength = self.initial_latents(slots)
        assert self.diffusion is not None
        images, stats = self.diffusion.sample(
            slots, init=init, strength=strength, call_hook=call_hook)
        samples = self.as_samples(slots, images, stats)
        seconds = (time.perf_counter() - begin) / len(slots)
        return [replace(sample, seconds=seconds) for sample in samples]

    def as_samples(self, slots: Sequence[DistillSlot], images: Tensor,
                   stats: Sequence[Dict[str, float]]) -> List[DistilledSample]:
        """Samples of images (B, 3, H, W) in [0, 1], with the labels of their slots.

        One that is not finite, not as guided as it was to be, black or of one colour has
        ``failure`` set.
        """
        pictures = to_uint8(images)
        faults = drawing_faults(images, pictures, stats)
        return [
            DistilledSample(slot, image=image, target=slot.target, stats=stat, failure=fault,
                            accepted=not fault)
            for slot, image, stat, fault in zip(slots, pictures, stats, faults)
        ]

    def initial_latents(self, slots: List[DistillSlot]) -> Tuple[Optional[Tensor], float]:
        """What the images of a batch start from.

        Args:
            slots: B slots of one batch, all of them in the same round.

        Returns:
            tuple: clean latents (B, C, h, w), or None for pure noise; and how much
            of the path to noise they go, in (0, 1].
        """
        if self.initializer is None:
            return None, 1.
        init = self.initializer.latents(self.diffusion, slots)
        return init, 1. if init is None else self.initializer.strength

    def refine(self, samples: List[DistilledSample]) -> None:
        """Let the judge score ``samples`` and apply the refiners, in place."""
        if self.judge is not None:
            judge_samples(samples, self.judge)
        for refiner in self.refiners:
            refiner(samples, self.proxy)
