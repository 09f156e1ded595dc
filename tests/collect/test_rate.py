from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.collect.rate import RateLimit


def test_a_second_of_requests_may_come_at_once_and_then_at_the_rate() -> None:
    limit = RateLimit(10)
    assert [limit.wait_seconds("a", 0) for _ in range(10)] == [0] * 10
    assert limit.wait_seconds("a", 0) == 1
    assert limit.wait_seconds("a", 100) == 0
    assert limit.wait_seconds("a", 100) == 1


def test_keys_do_not_share_a_bucket() -> None:
    limit = RateLimit(1)
    assert (limit.wait_seconds("a", 0), limit.wait_seconds("b", 0)) == (0, 0)


def test_zero_means_no_limit() -> None:
    limit = RateLimit(0)
    assert {limit.wait_seconds("a", 0) for _ in range(100)} == {0}


@given(st.integers(1, 50), st.lists(st.integers(0, 400), max_size=200))
def test_no_more_pass_than_the_burst_and_the_rate_allow(rate: int, gaps: list[int]) -> None:
    limit = RateLimit(rate)
    now = passed = 0
    for gap in gaps:
        now += gap
        wait = limit.wait_seconds("a", now)
        passed += wait == 0
        if wait:
            assert 1 <= wait <= 2
    assert passed <= rate + rate * now / 1000 + 1


def test_the_buckets_are_bounded() -> None:
    limit = RateLimit(1)
    for n in range(25_000):
        limit.wait_seconds(str(n), 0)
    assert len(limit._buckets) <= 10_000
