"""The time that is left, by hand."""
import pytest

from mmdd.utils.job_eta import Eta
from mmdd.utils.jobs import Job, run_jobs


def job(kind='', weight=1., seconds=0., places=1):
    return Job('name', 'label', kind=kind, weight=weight, seconds=seconds, places=places)


def left(eta, *jobs):
    return eta.left((one, 0.) for one in jobs)


def test_before_anything_is_done_expectations_count():
    eta = Eta(2)
    assert left(eta, job('set', 3., 10.), job('set', 1., 10.), job('student', 1., 4.)) == 44. / 2
    assert left(eta, job('set'), job('plan', 0.)) == 0.


def test_finished_jobs_say_what_their_kind_takes_by_weight():
    eta = Eta(1)
    eta.add(job('set', 3., 10.), 60.)
    eta.add(job('set', 1., 10.), 20.)
    eta.add(job('student', seconds=4.), 8.)
    assert left(eta, job('set', 0.5, 10.)) == 10.
    assert left(eta, job('student', seconds=4.), job('student', seconds=4.)) == 16.
    assert left(eta, job('other', 2., 5.)) == 10.


def test_a_kind_without_anything_known_takes_the_mean_of_all():
    eta = Eta(1)
    eta.add(job('set'), 60.)
    eta.add(job('student'), 6.)
    eta.add(job('plan', 0.), 3.)
    assert left(eta, job('full'), job('plan', 0.)) == pytest.approx(33.)


def test_running_jobs_count_what_is_left_of_them_and_wide_ones_all_their_places():
    eta = Eta(2)
    eta.add(job('set'), 60.)
    assert eta.left([(job('set'), 45.), (job('set'), 90.), (job('set', places=8), 0.)]) == (
        15. + 0. + 2 * 60.) / 2


def test_a_run_tells_zero_at_its_end_and_more_before():
    events = []
    jobs = [Job(name, name, work=str, kind='a', seconds=5.) for name in 'abc']
    run_jobs(jobs, 0, events.append)
    first, *_, last = [event.eta for event in events]
    assert first == pytest.approx(15., abs=0.1) and last == 0.
