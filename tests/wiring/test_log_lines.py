"""Log lines: nothing that stands in a variable gets out by way of a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from segue.wiring.log_lines import configure_logging


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_shows_no_variable(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = configure_logging("worker", form=form)
    secret = "".join(["hunter2", "-of-a-variable"])
    try:
        len(secret) / 0
    except ZeroDivisionError:
        log.exception("went wrong")
    said = capsys.readouterr().err
    assert "went wrong" in said and "ZeroDivisionError" in said
    assert secret not in said


def test_a_line_is_json_or_text_and_names_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("worker", form="json").info("begun", job=3)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["job"], line["process"], line["level"]) == ("begun", 3, "worker", "info")
    configure_logging("worker", form="text").info("begun", job=3)
    assert "begun" in capsys.readouterr().err


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("worker", level="warning", form="json").info("begun")
    assert capsys.readouterr().err == ""
