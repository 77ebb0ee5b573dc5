"""What manifests say of distilled sets: scores, cost, and what is wrong with them."""
import json

import pytest
from distilled import write_set

from mmdd.datasets.set_facts import mean_cost, read_set_manifest, score_range, set_facts


def test_facts_of_a_set(tmp_path):
    facts = set_facts(write_set(tmp_path / 's', score=0.5, seconds=2.))
    assert facts['score'] == dict(mean=pytest.approx(0.6), std=pytest.approx(0.1), min=0.5,
                                  max=0.7, median=0.6)
    assert (facts['images'], facts['classes'], facts['images_made']) == (3, 1, 6)
    assert facts['label_sources'] == dict(proxy=3)
    assert facts['rounds'] == pytest.approx(4 / 3)
    cost = facts['cost']
    assert (cost['seconds_per_image'], cost['seconds_per_kept']) == (2., 4.)
    other = dict(facts, cost=dict(cost, seconds_per_kept=8., denoiser_passes=180,
                                  peak_memory_mib=dict(host=900, gpu=10)))
    assert mean_cost([facts, other]) == dict(
        seconds_per_image=2., seconds_per_kept=6., passes_per_kept=90., host=800., gpu=10.)
    assert score_range([]) is None


def test_the_cost_of_a_set_from_before_denoiser_passes_were_counted(tmp_path):
    folder = write_set(tmp_path / 's', seconds=2.)
    content = read_set_manifest(folder)
    del content['cost']
    content.update(stage_seconds=dict(prepare=1., plan=2., synthesize=9.),
                   peak_memory_mib=dict(host=700))
    (tmp_path / 's/manifest.json').write_text(json.dumps(content))
    cost = set_facts(folder)['cost']
    assert cost == dict(
        seconds_per_image=2., seconds_per_kept=4., peak_memory_mib=dict(host=700),
        deploy_seconds=1., distill_seconds=11.,
        stages=dict(prepare=dict(kind='deploy', seconds=1.),
                    plan=dict(kind='distill', seconds=2.),
                    synthesize=dict(kind='distill', seconds=9.)))
    assert mean_cost([set_facts(folder)]) == dict(
        seconds_per_image=2., seconds_per_kept=4., host=700.)


def test_unfinished_and_damaged_sets(tmp_path):
    with pytest.raises(FileNotFoundError, match='not finished'):
        set_facts(str(tmp_path))
    (tmp_path / 'manifest.json').write_text('{"images": []}')
    with pytest.raises(ValueError, match='damaged'):
        set_facts(str(tmp_path))
