"""Settings: read once from the environment, refused where anything is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.collect.limits import CollectLimits
from segue.control.units import DAY_MS, duration_ms, duration_text, offset_ms, offset_text, size_bytes, size_text
from segue.core.errors import Invalid
from segue.settings import Settings, describe_settings, read_settings


def test_without_variables_every_setting_has_its_default():
    assert read_settings({"HOME": "/root", "PATH": "x"}) == Settings()
    assert read_settings({}).log.keep_ms == 7 * DAY_MS
    assert read_settings({}).disk.floor_bytes == 512 * 1024**2
    assert read_settings({}).collect.limits() == CollectLimits()


def test_every_setting_can_be_given_by_its_variable():
    settings = read_settings(
        {
            "SEGUE_DATA": "/var/lib/segue",
            "SEGUE_PORT": "0",
            "SEGUE_LOG_KEEP": "30d",
            "SEGUE_LOG_DROP_UNREAD": "true",
            "SEGUE_DEDUP_WINDOW": "1d12h",
            "SEGUE_DISK_FLOOR": "2GB",
            "SEGUE_COLLECT_REQUESTS_PER_SECOND": "0.5",
            "SEGUE_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "SEGUE_ALLOW_INTERNAL": "localhost:9000",
            "SEGUE_SANDBOX_PORT": "8100",
            "SEGUE_LOGGING_FORMAT": "json",
            "SEGUE_CLOCK": "offset:+31d",
            "SEGUE_LAKE_KEEP": "90d",
        }
    )
    assert settings.data == "/var/lib/segue"
    assert settings.port == 0
    assert (settings.log.keep_ms, settings.log.drop_unread) == (30 * DAY_MS, True)
    assert settings.dedup.window_ms == DAY_MS * 3 // 2
    assert settings.disk.floor_bytes == 2 * 1024**3
    assert settings.collect.limits().requests_per_second == 0.5
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.allow_internal == "localhost:9000"
    assert settings.sandbox.port == 8100
    assert settings.logging.format == "json"
    assert settings.clock_offset_ms == 31 * DAY_MS
    assert settings.lake.keep_ms == 90 * DAY_MS
    assert read_settings({"SEGUE_LAKE_KEEP": "off"}).lake.keep_ms is None


def test_the_command_line_wins_over_the_environment():
    assert read_settings({"SEGUE_PORT": "1"}, {"port": "2"}).port == 2


def test_an_empty_variable_is_as_good_as_none():
    empty = {setting.variable: " " for setting in describe_settings()}
    assert read_settings(empty) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("SEGUE_LOG_KEP", "7d", r'^SEGUE_LOG_KEP: there is no such setting; did you mean "SEGUE_LOG_KEEP"\?$'),
        ("SEGUE_WORKERS", "4", "^SEGUE_WORKERS: there is no such setting$"),
        ("SEGUE_LOG", "x", "^SEGUE_LOG: there is no such setting$"),
        ("SEGUE_SECRET", "x", "^SEGUE_SECRET: there is no such setting"),
        ("SEGUE_", "x", "^SEGUE_: there is no such setting"),
        ("SEGUE_LOG_KEEP", "7", "^SEGUE_LOG_KEEP: '7' is no duration; write it like 7d"),
        ("SEGUE_LOG_KEEP", "-1d", "is no duration"),
        ("SEGUE_LOG_KEEP", "9999d", "longer than ten years"),
        ("SEGUE_DISK_FLOOR", "512", "^SEGUE_DISK_FLOOR: '512' is no size; write it like 512MB"),
        ("SEGUE_PORT", "65536", "^SEGUE_PORT: must be from 0 to 65535"),
        ("SEGUE_PORT", "http", "^SEGUE_PORT: 'http' is no number"),
        ("SEGUE_COLLECT_REQUESTS_PER_SECOND", "nan", "must be from"),
        ("SEGUE_COLLECT_CONNECTIONS", "0", "must be from 1"),
        ("SEGUE_LOG_DROP_UNREAD", "maybe", "neither true nor false"),
        ("SEGUE_LOGGING_LEVEL", "loud", "none of debug, info, warning, error"),
        ("SEGUE_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "'proxy' is neither an address nor a network"),
        ("SEGUE_LAKE_KEEP", "23h", "^SEGUE_LAKE_KEEP: must be off, or at least 1d$"),
        ("SEGUE_LAKE_KEEP", "90", "^SEGUE_LAKE_KEEP: '90' is no duration"),
        ("SEGUE_CLOCK", "+31d", r"^SEGUE_CLOCK: '\+31d' moves no clock; write it like offset:\+31d or offset:-2h$"),
        ("SEGUE_CLOCK", "offset:31d", "moves no clock"),
        ("SEGUE_CLOCK", "offset:", "moves no clock"),
        ("SEGUE_CLOCK", "2026-12-01T00:00:00Z", "moves no clock"),
        ("SEGUE_CLOCK", "offset:+31", "^SEGUE_CLOCK: '31' is no duration"),
        ("SEGUE_CLOCK", "offset:-99999d", "longer than ten years"),
        ("SEGUE_DEDUP_WINDOW", "31d", r"dedup.window \(SEGUE_DEDUP_WINDOW\): may not be longer than 30d"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name(variable, text, message):
    with pytest.raises(Invalid, match=message):
        read_settings({variable: text})


def test_a_window_longer_than_the_log_is_refused_and_both_are_named():
    with pytest.raises(Invalid, match=r"dedup\.window \(SEGUE_DEDUP_WINDOW\): 2d .* log\.keep \(SEGUE_LOG_KEEP\), 1d"):
        read_settings({"SEGUE_DEDUP_WINDOW": "2d", "SEGUE_LOG_KEEP": "1d"})
    read_settings({"SEGUE_DEDUP_WINDOW": "1d", "SEGUE_LOG_KEEP": "24h"})


def test_every_setting_says_what_it_is_and_its_default_can_be_read():
    described = describe_settings()
    assert len({setting.variable for setting in described}) == len(described)
    for setting in described:
        assert setting.title and setting.description
        assert setting.value_in(Settings()) == setting.default
        assert read_settings({setting.variable: setting.default}) == Settings()


def test_the_secret_key_is_never_shown():
    settings = read_settings({"SEGUE_SECRET_KEY": "hunter2"})
    assert settings.secret_key == "hunter2"
    assert "hunter2" not in repr(settings) + "".join(row.value_in(settings) for row in describe_settings())


@given(st.integers(0, 3660 * DAY_MS))
def test_a_duration_that_is_printed_reads_the_same(milliseconds):
    assert duration_ms(duration_text(milliseconds), "x") == milliseconds


@given(st.integers(-3660 * DAY_MS, 3660 * DAY_MS).filter(bool))
def test_an_offset_that_is_printed_reads_the_same(milliseconds):
    assert offset_ms(offset_text(milliseconds), "x") == milliseconds


@pytest.mark.parametrize("text", ["offset:0", "offset:+0s", "offset:-0d"])
def test_a_clock_that_is_moved_by_nothing_is_not_moved(text):
    assert read_settings({"SEGUE_CLOCK": text}) == Settings()


@given(st.integers(0, 10**9 - 1))
def test_a_size_that_is_printed_reads_the_same(count):
    assert size_bytes(size_text(count), "x") == count


def test_reading_settings_loads_nothing_heavy():
    code = "import sys, segue.settings; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"yaml", "cryptography", "asyncio", "sqlite3", "click", "uvicorn", "segue.destinations"} & set(loaded)
