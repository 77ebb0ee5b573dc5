"""Whole jobs with tiny networks: what a set may depend on, and what is refused."""
import json
import os
import os.path as osp
import shutil
import signal
import textwrap
import time

import numpy as np
import processes
import pytest
import tiny
from distilled import manifest
from mmengine.config import Config
from PIL import Image
from torch.distributed import run as torchrun

from mmdd.apis import distill
from mmdd.engine.attempts import best_round
from mmdd.engine.journal import Journal
from mmdd.engine.shards import Shards
from mmdd.structures import DistillSlot
from mmdd.utils.io import sha256

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
NUM = 6


def tree(folder):
    """sha256 and time of every file below a folder."""
    return {osp.relpath(osp.join(base, name), folder): (
        sha256(osp.join(base, name)), os.stat(osp.join(base, name)).st_mtime_ns)
        for base, _, names in os.walk(folder) for name in names}


def jpeg(folder, name):
    with Image.open(osp.join(folder, 'VOC2007/JPEGImages', name)) as picture:
        return np.asarray(picture).astype(int)


@pytest.fixture(scope='module')
def job(digits, detector_checkpoint):
    """Makes the config of a job: guided, relabelled, two rounds with some rejects.

    The terms of the RoI head are left out: a hardly trained detector ranks its proposals by
    differences of the size of a rounding error.
    """
    def make(threshold=0., max_rounds=2, **train_cfg):
        config = tiny.distill_job(digits, detector_checkpoint, total=NUM, guidance=1000.,
                                  threshold=threshold, max_rounds=max_rounds, **train_cfg)
        config['model']['proxy']['terms'] = dict(rpn_cls=1., rpn_bbox=1.)
        return config
    return make


@pytest.fixture(scope='module')
def threshold(job, tmp_path_factory):
    """A threshold that about half of the first attempts miss."""
    folder = distill(job(), str(tmp_path_factory.mktemp('probe')))
    scores = sorted(entry['score'] for entry in manifest(folder)['images'])
    assert scores[0] < scores[-1]
    return (scores[NUM // 2 - 1] + scores[NUM // 2]) / 2


@pytest.fixture(scope='module')
def whole(job, threshold, tmp_path_factory):
    """The set of an uninterrupted job."""
    return distill(job(threshold), str(tmp_path_factory.mktemp('whole')))


def test_the_set_and_its_manifest(whole, threshold, digits):
    found = manifest(whole)
    assert found['budget_asked'] == NUM and found['method'] == 'UniDD'
    assert found['classes'] == list(tiny.CLASSES) and found['budget'] == f'Total(n={NUM})'
    assert NUM < found['images_made'] <= 2 * NUM
    assert found['discard_rate'] == round(1 - found['budget_met'] / found['images_made'], 4)
    assert set(found['versions']) >= {'mmdd', 'torch', 'diffusers', 'mmdet'}
    assert [entry['slot'] for entry in found['images']] == list(range(NUM))
    assert found['images_made'] == sum(entry['rounds'] for entry in found['images'])
    assert found['budget_met'] == sum(entry['accepted'] for entry in found['images'])
    for file, digest in found['sha256'].items():
        assert sha256(osp.join(whole, file)) == digest
    assert len(found['sha256']) == 2 * NUM + 2
    stock = tiny.read_stock(whole)
    real = tiny.read_stock(digits)
    for entry in found['images']:
        assert entry['accepted'] == (entry['score'] >= threshold)
        assert entry['rounds'] >= 1 + (entry['round'] == 1)
        names = [tiny.CLASSES[label] for _, label in stock[osp.basename(entry['files'][0])]]
        assert names == entry['classes']
        assert entry['label_source'] == ('proxy' if entry['accepted'] else 'slot')
        assert f"{entry['source']}.jpg" in real and entry['prompt'].startswith('a photo of ')
        assert entry['stats']['energy'] > 0 and entry['seconds'] > 0
    assert len({entry['seed'] for entry in found['images']}) == NUM
    cost = found['cost']
    assert cost['stages']['train proxy']['updates'] == 2 and cost['deploy_seconds'] > 0
    # Three steps with two branches for every image that was made.
    assert cost['denoiser_passes'] == found['images_made'] * 3 * 2
    assert cost['seconds_per_kept'] == pytest.approx(
        cost['seconds_per_image'] * found['images_made'] / NUM, rel=.01)


def test_pictures_differ_and_are_not_empty(whole):
    pictures = [jpeg(whole, f'{i:06d}.jpg') for i in range(NUM)]
    assert all(p.shape == (32, 32, 3) and p.std() > 2 for p in pictures)
    assert np.abs(pictures[0] - pictures[1]).mean() > 1


def test_guidance_changes_the_pictures(whole, job, threshold, tmp_path):
    config = job(threshold, max_rounds=1)
    config['custom_hooks'] = []
    plain = distill(config, str(tmp_path))
    first = Journal(whole).read_image((0, 0)).astype(int)
    assert np.abs(first - Journal(plain).read_image((0, 0))).max() > 4


def test_resuming_after_losing_attempts_gives_the_same_bytes(whole, job, threshold, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    journal = Journal(str(folder))
    keys = list(journal.keys())
    for key in (keys[0], keys[-1], keys[NUM - 1]):
        os.unlink(journal._path(key, '.json'))
    os.unlink(journal._path(keys[0], '.png'))
    os.unlink(folder / 'manifest.json')
    shutil.rmtree(folder / 'VOC2007')
    (folder / '_job/attempts/.tmp_killed.png').write_bytes(b'half')
    distill(job(threshold), str(tmp_path), resume=True)
    assert list(journal.keys()) == keys
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


def test_a_job_killed_before_its_first_record_goes_on(job, threshold, whole, tmp_path):
    os.makedirs(tmp_path / 'distilled/_job/attempts')
    (tmp_path / 'distilled/_job/.tmp_killed.json').write_text('{')
    folder = distill(job(threshold), str(tmp_path), resume=True)
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


@pytest.fixture(scope='module')
def rejected(job, tmp_path_factory):
    """A job in whose rounds every image is made and none passes.

    Batches of other sizes round differently, and the scores of a hardly trained detector sit
    on knife edges: whether an image passes is not compared between them, its pixels are.
    """
    return distill(job(threshold=1., max_rounds=3), str(tmp_path_factory.mktemp('rejected')))


def same_up_to_rounding(folder, other):
    """Attempts and plan of two sets agree; every pixel within one level of 255."""
    assert list(Journal(folder).keys()) == list(Journal(other).keys())
    assert Journal(folder).read_plan() == Journal(other).read_plan()
    for key in Journal(other).keys():
        difference = Journal(folder).read_image(key).astype(int) - Journal(other).read_image(key)
        assert np.abs(difference).max() <= 1
        assert Journal(folder).read(key)['seed'] == Journal(other).read(key)['seed']


@pytest.mark.parametrize('batch_size', [1, 4])
def test_batch_size_does_not_matter(rejected, job, tmp_path, batch_size):
    same_up_to_rounding(distill(job(threshold=1., max_rounds=3, batch_size=batch_size),
                                str(tmp_path)), rejected)


def test_rounds_after_those_of_noise_start_from_the_real_image(rejected, job, tmp_path):
    """The first round is that of noise, the second that of a job which starts so at once."""
    found = {}
    for noise_rounds in (0, 1):
        config = job(threshold=1., max_rounds=2)
        config['model']['initializer'] = dict(
            type='CollageInitializer', strength=0.5, noise_rounds=noise_rounds)
        found[noise_rounds] = Journal(distill(config, str(tmp_path / str(noise_rounds))))
    noise = Journal(rejected)
    for slot in range(NUM):
        first, second = (found[1].read_image((slot, round)) for round in (0, 1))
        assert np.array_equal(first, noise.read_image((slot, 0)))
        assert np.array_equal(second, found[0].read_image((slot, 1)))
        assert not np.array_equal(second, noise.read_image((slot, 1)))


def test_the_budget_is_met_by_the_best_rejects(rejected):
    folder = rejected
    found, journal = manifest(folder), Journal(folder)
    assert found['budget_met'] == 0 and found['images_made'] == 3 * NUM
    assert len(tiny.read_stock(folder)) == NUM
    kept = set()
    for entry in found['images']:
        scores = [journal.read((entry['slot'], r))['score'] for r in range(3)]
        assert not entry['accepted'] and entry['rounds'] == 3
        assert entry['score'] == max(scores) and scores.index(max(scores)) == entry['round']
        kept.add(entry['round'])
    assert len(kept) > 1
    seeds = {journal.read(key)['seed'] for key in journal.keys()}
    assert len(seeds) == 3 * NUM


@pytest.mark.parametrize('tried, round', [
    ({0: (.2, False), 1: (.9, True), 2: (.95, True)}, 1), ({0: (.2, False), 1: (.4, False)}, 1),
    ({0: (.4, False), 1: (.4, False)}, 0), ({0: (None, True)}, 0), ({1: (None, False)}, 1)])
def test_which_round_is_kept(tried, round):
    assert best_round({r: dict(score=s, accepted=a) for r, (s, a) in tried.items()}) == round


def test_finished_work_is_not_done_again(whole, job, threshold, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    before = tree(folder / '_job')
    distill(job(threshold), str(tmp_path), resume=True)
    assert tree(folder / '_job') == before
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


def refused(config, work_dir, words, resume=True):
    before = tree(work_dir / 'distilled')
    with pytest.raises(ValueError, match=words):
        distill(config, str(work_dir), resume=resume)
    assert tree(work_dir / 'distilled') == before


def test_a_foreign_folder_is_refused_and_untouched(job, tmp_path):
    (tmp_path / 'distilled').mkdir()
    (tmp_path / 'distilled/thesis.txt').write_text('mine')
    for resume in (True, False):
        refused(job(), tmp_path, 'holds files of something else', resume)


def test_another_job_in_the_folder_is_refused(whole, job, threshold, tmp_path):
    shutil.copytree(whole, tmp_path / 'distilled')
    refused(job(threshold), tmp_path, 'add --resume', resume=False)
    refused(job(threshold / 2), tmp_path, r'another config \(other model\)')
    refused(job(threshold, max_rounds=3), tmp_path, 'other train_cfg')
    config = job(threshold)
    config['custom_hooks'][0]['scale'] = 6.
    refused(config, tmp_path, 'other custom_hooks')
    config = job(threshold)
    config['model']['diffusion']['steps'] = 4
    refused(config, tmp_path, 'other diffusion')
    config = job(threshold)
    config['model']['seed'] = 1
    refused(config, tmp_path, 'other model')


def test_other_proxy_weights_are_refused(whole, job, threshold, tmp_path):
    import torch
    shutil.copytree(whole, tmp_path / 'distilled')
    config = job(threshold)
    content = torch.load(config['model']['proxy']['checkpoint'], weights_only=False)
    next(iter(content['state_dict'].values())).add_(1)
    torch.save(content, tmp_path / 'other.pth')
    config['model']['proxy']['checkpoint'] = str(tmp_path / 'other.pth')
    refused(config, tmp_path, 'other proxy_weights')


def test_a_changed_plan_is_refused(whole, job, threshold, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    path = folder / '_job/prompts.jsonl'
    path.write_text(path.read_text().replace('a photo of', 'a drawing of'))
    refused(job(threshold), tmp_path, 'the plan changed')


def test_prompts_may_be_edited_until_the_first_image_is_made(whole, job, threshold, tmp_path):
    """A job that stopped after its plan resumes with what was written by hand."""
    folder = tmp_path / 'distilled/_job'
    os.makedirs(folder)
    for name in ('job.json', 'plan.jsonl', 'prompts.jsonl'):
        shutil.copy(osp.join(whole, '_job', name), folder / name)
    path = folder / 'prompts.jsonl'
    path.write_text(path.read_text().replace('a photo of', 'a drawing of'))
    made = distill(job(threshold), str(tmp_path), resume=True)
    prompts = [entry['prompt'] for entry in manifest(made)['images']]
    assert prompts == [entry['prompt'].replace('a photo of', 'a drawing of')
                       for entry in manifest(whole)['images']]
    assert all(prompt.startswith('a drawing of') for prompt in prompts)


def test_nothing_unfinished_stays_in_a_set(whole, job, threshold, tmp_path):
    """What a killed writer leaves would be images to other readers of folders."""
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    os.unlink(folder / 'manifest.json')
    left = [folder / 'VOC2007/JPEGImages/.tmp_a.jpg', folder / '_job/attempts/.tmp_b.png']
    for path in left:
        path.write_bytes(b'half')
    distill(job(threshold), str(tmp_path), resume=True)
    assert not any(path.exists() for path in left)
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


def test_prompts_edited_by_hand_are_used(whole, job, threshold, tmp_path):
    with open(osp.join(whole, '_job/prompts.jsonl')) as f:
        lines = [json.loads(line) for line in f]
    lines[0]['prompt'] = 'a 9 on textured background'
    path = tmp_path / 'prompts.jsonl'
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines[:-1]))
    config = job(threshold, max_rounds=1)
    config['model']['prompt_file'] = str(path)
    folder = distill(config, str(tmp_path))
    prompts = {e['source']: e['prompt'] for e in manifest(folder)['images']}
    before = {e['source']: e['prompt'] for e in manifest(whole)['images']}
    edited = lines[0]['image']
    assert prompts == {**before, edited: 'a 9 on textured background'}
    slot = next(e['slot'] for e in manifest(folder)['images'] if e['source'] == edited)
    pair = [Journal(f).read_image((slot, 0)).astype(int) for f in (folder, whole)]
    assert np.abs(pair[0] - pair[1]).max() >= 1
    assert len(path.read_text().splitlines()) == NUM


@pytest.mark.parametrize('kwargs', [dict(batch_size=0), dict(max_rounds=0)])
def test_bad_settings(job, tmp_path, kwargs):
    told = f'train_cfg.{next(iter(kwargs))} must be a whole number, at least 1, got 0'
    with pytest.raises(ValueError, match=told):
        distill(job(**kwargs), str(tmp_path))


def test_a_proxy_of_other_classes_is_refused(job, tmp_path):
    config = job()
    dataset = config['model']['proxy']['cfg']['train_dataloader']['dataset']
    dataset['metainfo'] = dict(classes=tiny.CLASSES[::-1])
    with pytest.raises(ValueError, match='names and order must agree'):
        distill(config, str(tmp_path))


@pytest.mark.parametrize('kind', ['RandomCoreset', 'UniformCoreset'])
def test_coresets_run_through_the_same_loop(digits, tmp_path, kind):
    folder = distill(tiny.coreset_job(digits, dict(type=kind), total=5), str(tmp_path))
    found, stock, real = manifest(folder), tiny.read_stock(folder), tiny.read_stock(digits)
    assert found['budget_met'] == 5 and found['discard_rate'] == 0
    for entry in found['images']:
        name = f"{entry['source']}.jpg"
        copy = osp.join(folder, entry['files'][0])
        assert sha256(copy) == sha256(osp.join(digits, 'VOC2007/JPEGImages', name))
        assert stock[osp.basename(copy)] == real[name] and entry['label_source'] == 'real'


# From here on, jobs run in processes of their own, through tools/distill.py.

@pytest.fixture(scope='module')
def config_file(job, threshold, tmp_path_factory):
    path = str(tmp_path_factory.mktemp('config') / 'tiny.py')
    Config(job(threshold)).dump(path)
    return path


def test_killed_at_any_moment_and_resumed(config_file, whole, tmp_path):
    """SIGKILL with 1 and 6 files in the journal, wherever the job then is."""
    attempts = tmp_path / 'distilled/_job/attempts'
    for wait in (1, 6):
        started = processes.Started('tools/distill.py', config_file, '--work-dir', tmp_path,
                                    '--resume')
        deadline = time.time() + 60
        while time.time() < deadline and started.process.is_alive() and not (
                attempts.is_dir() and len(os.listdir(attempts)) >= wait):
            time.sleep(.002)
        os.killpg(started.process.pid, signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL
        assert not (tmp_path / 'distilled/manifest.json').exists()
    distill(config_file, str(tmp_path), resume=True)
    found = manifest(tmp_path / 'distilled')
    assert found['sha256'] == manifest(whole)['sha256']


def test_two_ranks_make_the_same_set(job, rejected, tmp_path):
    """Here of ``torchrun`` itself, which may fork its ranks."""
    Config(job(threshold=1., max_rounds=3)).dump(str(tmp_path / 'config.py'))
    processes.run(torchrun.__file__, '--standalone', '--nproc_per_node=2', '--run-path',
                  '--start-method=fork', osp.join(ROOT, 'tools/distill.py'),
                  tmp_path / 'config.py', '--work-dir', tmp_path, '--launcher', 'pytorch')
    folder = str(tmp_path / 'distilled')
    same_up_to_rounding(folder, rejected)
    assert len(manifest(folder)['images']) == NUM


def test_a_late_rank_reads_the_same_open_slots(whole, job, threshold, tmp_path):
    """Attempts that other ranks finish in a round must not change how it is shared out."""
    from types import SimpleNamespace

    from mmdd.engine import DistillLoop
    slots = [DistillSlot(e['id'], e['seed'], (32, 32), np.array(e['labels']))
             for e in Journal(whole).read_plan()]
    loop = SimpleNamespace(own_slots=slots, max_rounds=2, rounds=3, batch_size=4, records={},
                           journal=Journal(str(tmp_path)), distiller=SimpleNamespace(seed=0),
                           shards=Shards(str(tmp_path), None, 4))
    loop._attempts = lambda: DistillLoop._attempts(loop)

    def plain(slots):
        return [slot.to_dict() for slot in slots]

    begun = DistillLoop._open_slots(loop, 0)
    assert [s.id for s in begun] == list(range(NUM))
    loop.journal = Journal(shutil.copytree(whole, tmp_path / 'later'))
    assert plain(DistillLoop._open_slots(loop, 0)) == plain(begun)
    # A batch with one attempt missing is made whole; finished batches are left alone.
    assert DistillLoop._open_batches(loop, begun) == []
    os.unlink(loop.journal._path((4, 0), '.json'))
    batch, = DistillLoop._open_batches(loop, begun)
    assert plain(batch) == plain(begun[4:])
    second = [s.id for s in DistillLoop._open_slots(loop, 1)]
    rejects = [k[0] for k in Journal(whole).keys() if k[1] == 1]
    assert second == sorted({*rejects, 4}) and 0 < len(rejects) < NUM


PLUGIN = '''
import torch
from mmdd.engine import GuidanceHook
from mmdd.models import CoresetBaseline
from mmdd.registry import HOOKS, MODELS


@HOOKS.register_module()
class PullToGrey(GuidanceHook):
    """Pulls images to grey."""

    def energy(self, state):
        return ((state.decode(state.denoised) - 0.5)**2).flatten(1).sum(1)


@MODELS.register_module()
class LastImages(CoresetBaseline):
    """The last images of the set."""

    def select(self, features, labels, budget):
        return range(len(labels) - budget, len(labels))
'''


def test_a_plugin_outside_of_the_package(digits, detector_checkpoint, whole, tmp_path):
    (tmp_path / 'my_plugin.py').write_text(PLUGIN)
    header = textwrap.dedent('''
        import sys
        sys.path.insert(0, {folder!r})
        del sys
        custom_imports = dict(imports=['my_plugin'], allow_failed_imports=False)
        ''').format(folder=str(tmp_path))
    config = tiny.distill_job(digits, detector_checkpoint, total=2)
    config['custom_hooks'] = [dict(type='PullToGrey', scale=3.)]
    (tmp_path / 'guided.py').write_text(header + Config(config).pretty_text)
    coreset = tiny.coreset_job(digits, dict(type='LastImages'), total=3)
    (tmp_path / 'coreset.py').write_text(header + Config(coreset).pretty_text)

    guided = tmp_path / 'a/distilled'
    assert f'distilled set: {guided}' in processes.run(
        'tools/distill.py', tmp_path / 'guided.py', '--work-dir', tmp_path / 'a')
    assert manifest(guided)['images'][0]['stats']['energy'] > 0
    assert jpeg(guided, '000000.jpg').std() < Journal(whole).read_image((0, 0)).std()
    distill(str(tmp_path / 'coreset.py'), str(tmp_path / 'b'))
    sources = [e['source'] for e in manifest(tmp_path / 'b/distilled')['images']]
    assert sources == ['train_000009', 'train_000010', 'train_000011']
    # Another scale of the foreign hook is another job.
    with pytest.raises(ValueError, match='other custom_hooks'):
        distill(str(tmp_path / 'guided.py'), str(tmp_path / 'a'), resume=True,
                cfg_options={'custom_hooks.0.scale': 4.})
