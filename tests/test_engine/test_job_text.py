"""What a job says at its beginning and its end: the figures of a manifest in words."""
import pytest

from mmdd.engine.job_text import counts_text, dropped_text, time_text


@pytest.mark.parametrize('numbers, text', [
    (dict(cat=2, dog=2), '2 images each'),
    (dict(cat=3, dog=1, cow=1, bee=8), '1 to 8 images, median 2; fewest: dog, cow'),
    ({'tench, Tinca tinca': 0, 'cat': 4, 'dog': 2}, '0 to 4 images, median 2; empty: tench'),
    ({}, None)])
def test_images_per_class(numbers, text):
    assert counts_text({name: dict(images=number) for name, number in numbers.items()}) == text


def test_many_empty_classes_are_counted():
    counts = {f'c{i}': dict(images=int(i >= 50)) for i in range(60)}
    text = counts_text(counts)
    assert text.startswith('0 to 1 images, median 0; empty: c0, c1, ')
    assert text.endswith('c19 and 30 more')


def test_what_was_dropped():
    images = [dict(accepted=True), dict(accepted=False),
              dict(accepted=True, stats=dict(skipped_gradients=3.))]
    assert dropped_text(dict(images=images, discard_rate=.4, images_made=5)) == (
        '2 attempts below the threshold of the refiners; 1 of them kept, as all rounds of their '
        'slots failed; 3 guidance steps without a finite gradient')
    one = dict(images=[dict(accepted=True)], discard_rate=0., images_made=1)
    assert dropped_text(one) == 'nothing'
    failures = dict(attempts=3, reasons={'not finite': 2, 'black': 1}, missing=[4])
    assert dropped_text(dict(one, failures=failures)) == (
        '3 attempts failed (2 not finite, 1 black); 1 slots without an image')
    assert dropped_text(dict(one, failures=dict(attempts=0, reasons={}, missing=[]))) == 'nothing'


def test_time_of_the_stages_that_count():
    cost = dict(stages={'train proxy': dict(seconds=3000.), 'synthesize': dict(seconds=600.),
                        'plan': dict(seconds=0.5)})
    assert time_text(cost, 100) == (
        '1:00:00 in all (train proxy 0:50:00, synthesize 0:10:00), 36 s per image')
