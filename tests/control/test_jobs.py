"""Jobs: what may be asked for, and which events it is about."""

from __future__ import annotations

import pytest

from segue.control import destinations, jobs, sources
from segue.control.destinations import DestinationSpec
from segue.control.jobs import EventFilter, JobSpec
from segue.core.errors import Invalid
from segue.state.control import SourceRow


@pytest.fixture
def store(store, secrets, read_ends):
    sources.create(store, SourceRow(slug="website", name="Website"))
    for slug, enabled in (("hook", True), ("off", False)):
        spec = DestinationSpec(slug=slug, name=slug, source="website", kind="webhook", enabled=enabled)
        destinations.create(store, spec, secrets, read_ends)
    return store


def test_a_job_is_stored_as_it_was_asked_for(store):
    spec = JobSpec(from_ms=5, to_ms=10, types=("track",), events=("Signed Up",), message_ids=("m",))
    job = jobs.create_replay(store, "hook", spec)
    assert store.snapshot().jobs == (job,)
    assert jobs.spec_of(job) == spec
    assert job.spec["from"] == 5


def test_a_redrive_may_ask_for_reasons(store):
    job = jobs.create_redrive(store, "hook", JobSpec(reasons=("BAD_REQUEST",)))
    assert (job.kind, jobs.spec_of(job).reasons) == ("redrive", ("BAD_REQUEST",))


def test_a_disabled_destination_gets_no_job(store):
    with pytest.raises(Invalid, match="off is disabled: enable it first"):
        jobs.create_replay(store, "off", JobSpec())
    assert store.snapshot().jobs == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JobSpec(from_ms=10, to_ms=10), "^to: must be after from"),
        (JobSpec(types=("tracks",)), "^types: there is no 'tracks'; did you mean \"track\""),
        (JobSpec(types=("foo",)), "^types: there is no 'foo'; there are: identify, track"),
        (JobSpec(message_ids=("m",) * 10_001), "^message_ids: has more than"),
    ],
)
def test_what_makes_no_sense_is_refused(store, spec, message):
    with pytest.raises(Invalid, match=message):
        jobs.create_replay(store, "hook", spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JobSpec(reasons=("BAD_REQUESTS",)), "^reasons: there is no 'BAD_REQUESTS'; did you mean \"BAD_REQUEST\""),
        (JobSpec(types=("track",)), "^types: a redrive takes dead letters by reason and messageId only"),
        (JobSpec(events=("Signed Up",)), "^events: a redrive takes"),
        (JobSpec(from_ms=1), "^from: a redrive takes"),
        (JobSpec(to_ms=1), "^to: a redrive takes"),
    ],
)
def test_a_redrive_refuses_what_it_cannot_choose_by(store, spec, message):
    with pytest.raises(Invalid, match=message):
        jobs.create_redrive(store, "hook", spec)
    assert store.snapshot().jobs == ()


def test_a_replay_knows_no_reasons(store):
    with pytest.raises(Invalid, match="use redrive"):
        jobs.create_replay(store, "hook", JobSpec(reasons=("BAD_REQUEST",)))


def test_a_replay_can_be_cancelled(store):
    job = jobs.create_replay(store, "hook", JobSpec())
    redrive = jobs.create_redrive(store, "hook", JobSpec())
    jobs.cancel_replay(store, "hook", job.id)
    assert [job.cancelled for job in store.snapshot().jobs] == [True, False]
    for slug, number in (("hook", 99), ("off", job.id), ("hook", redrive.id)):
        with pytest.raises(Invalid, match=f"^job: there is no replay {number} to {slug}"):
            jobs.cancel_replay(store, slug, number)


def test_a_filter_asks_all_that_it_names_and_nothing_else():
    event = {"type": "track", "event": "Signed Up", "message_id": "m"}
    assert EventFilter(JobSpec()).accepts(**event)
    everything = JobSpec(types=("track",), events=("Signed Up",), message_ids=("m",))
    assert EventFilter(everything).accepts(**event)
    for other in ({"type": "page"}, {"event": None}, {"message_id": "n"}):
        assert not EventFilter(everything).accepts(**{**event, **other})
