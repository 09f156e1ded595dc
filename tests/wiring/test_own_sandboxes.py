"""Which destinations are on this instance's own sandboxes, however their address is written."""

from __future__ import annotations

import pytest

from segue.control.secrets import Secrets
from segue.control.setting_values import read_value, sealed_value
from segue.wiring.own_sandboxes import sends_to_sandbox

OWN = "http://127.0.0.1:8100"


def on_sandbox(endpoint: object, own: str | None = OWN, **environ: str) -> bool:
    stored = sealed_value(read_value(endpoint, field="endpoint"), Secrets.passing())
    return sends_to_sandbox({"apiKey": {"$secret": "x"}, "endpoint": stored}, own, environ)


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "LocalHost", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "127.1", "0x7f000001", "2130706433", "planhat.localhost",
])  # fmt: skip
def test_every_spelling_of_loopback_with_the_sandboxes_port_is_the_sandbox(host):
    assert on_sandbox(f"http://{host}:8100/planhat/dock/segment")
    assert on_sandbox(f"HTTP://{host}:8100")
    assert not on_sandbox(f"http://{host}:8101/planhat/dock/segment")
    assert not on_sandbox(f"http://{host}/planhat/dock/segment")


@pytest.mark.parametrize("url", [
    "http://127.0.0.1.example:8100/", "http://example.com:8100/http://127.0.0.1:8100/", "http://10.0.0.1:8100/",
    "http://localhost.example:8100/", "http://u@127.0.0.1:8100/", "127.0.0.1:8100", "http://[::2]:8100/", "",
])  # fmt: skip
def test_what_only_looks_like_it_is_not(url):
    assert not on_sandbox(url)


def test_an_address_may_stand_anywhere_in_the_settings():
    assert on_sandbox(["https://example.com/", {"hook": "http://localhost:8100/planhat/dock/segment"}])
    assert not on_sandbox(["https://example.com/", {"hook": "http://localhost:9/"}])


def test_a_reference_is_an_address_where_its_variable_is_known():
    assert on_sandbox("http://${HOST}:8100/", HOST="localhost")
    assert on_sandbox("${URL}", URL="http://127.0.0.1:8100/x")
    assert not on_sandbox("http://${HOST}:8100/")


def test_without_sandboxes_nothing_is_on_them():
    assert not on_sandbox("http://127.0.0.1:8100/", own=None)


def test_the_default_port_is_a_port():
    assert on_sandbox("http://localhost/", own="http://127.0.0.1:80")
