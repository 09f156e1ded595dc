"""What the parsing of user agents must hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.sandbox.user_agent import Agent, parse_user_agent

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{} Mobile/15E148 Safari/604.1"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"


def agent(family: str, version: str, os: str | None, device_name: str | None, device_type: str) -> Agent:
    return Agent(
        browser_family=family,
        browser_version=version,
        os=os,
        device_name=device_name,
        device_type=device_type,
    )


VECTORS = {
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_5) {BLINK.format('40.0.2214.115')}": agent(
        "Chrome", "40.0.2214", "Mac OS X 10.9.5", "Mac", "desktop"
    ),
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) {WEBKIT.format('17.4')}": agent(
        "Mobile Safari", "17.4", "iOS 17.4", "iPhone", "mobile"
    ),
    f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT.format('16.6')}": agent(
        "Mobile Safari", "16.6", "iOS 16.6", "iPad", "tablet"
    ),
    f"Mozilla/5.0 (Linux; Android 13; SM-S918B) {BLINK.format('112.0.0.0 Mobile')}": agent(
        "Chrome Mobile", "112.0.0", "Android 13", "Samsung SM-S918B", "mobile"
    ),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK.format('123.0.0.0')} Edg/123.0.0.0": agent(
        "Edge", "123.0.0", "Windows 10", None, "desktop"
    ),
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": agent(
        "Googlebot", "2.1", None, "Spider", "bot"
    ),
    "analytics-python/1.4": Agent(),
    "": Agent(),
}


@pytest.mark.parametrize("text", VECTORS, ids=lambda text: text[:45] or "empty")
def test_a_known_user_agent_gives_what_was_measured(text: str) -> None:
    assert parse_user_agent(text) == VECTORS[text]


def test_an_android_browser_that_is_not_mobile_is_a_tablet() -> None:
    found = parse_user_agent(f"Mozilla/5.0 (Linux; Android 13; SM-X700) {BLINK.format('112.0.0.0')}")
    assert found.device_type == "tablet"


def test_a_system_without_a_version_has_no_number_behind_it() -> None:
    found = parse_user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0")
    assert (found.os, found.device_type, found.device_name) == ("Linux", "desktop", None)


@given(st.text(max_size=3_000))
def test_no_text_is_an_error_and_nothing_is_called_other(text: str) -> None:
    found = parse_user_agent(text)
    assert "Other" not in (found.browser_family, found.os, found.device_name)
    assert found.device_type in (None, "mobile", "tablet", "desktop", "bot")
