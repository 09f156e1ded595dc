"""Which URLs may be requested, and how they are read."""

import pytest

from segue.deliver.target import target


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://example.com", "example.com", 80),
        ("HTTPS://Example.COM./a?b=c#d", "example.com", 443),
        ("http://[::1]:8100/x", "::1", 8100),
        ("http://0x7f.1/", "0x7f.1", 80),
        ("https://a_b.example:8443?q", "a_b.example", 8443),
    ],
)
def test_a_url_is_read_into_host_and_port(url: str, host: str, port: int) -> None:
    found = target(url)
    assert found is not None
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "http:///x", "http:/x",
        "http://user@example.com/", "http://user:secret@example.com/", "http://a\\@b/", "http://a/ b",
        "http://a/\r\nX: y",
        "http://a:0/", "http://a:65536/", "http://a:b/", "http://[fe80::1%25eth0]/", "http://%31/", " http://a/",
        "http://a/\x7f", "http://a:80:90/",
    ],
)  # fmt: skip
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    assert target(url) is None


def test_a_url_beyond_ascii_is_written_in_ascii() -> None:
    found = target("https://bücher.example/straße?q=ü%20")
    assert found is not None
    assert found.url == "https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%BC%20"
