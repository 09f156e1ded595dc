"""Following an instance's files and its socket, where the server is this test."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest

from segue.core.errors import Invalid, Unavailable
from segue.state.quarantine import Drop
from segue.wiring import tailing
from segue.wiring.tailing import follow, newest
from segue.wiring.texts import Entry

from .files import NOW, Files


def listen(files: Files) -> socket.socket:
    """The socket of a server that accepts and says nothing."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(files.instance.socket))
    server.listen()
    return server


def names(entries: Iterable[Entry]) -> list[str]:
    return [entry.message_id for entry in entries]


def test_a_server_that_ends_after_the_first_entry_was_followed(files: Files) -> None:
    files.accept("1", "2")
    with listen(files):
        following = follow(files.views, newest(files.views, 2))
        assert next(following).message_id == "1"
    # It never took up the connection, nor read what was said to it: that resets the connection.
    assert names(following) == ["2"]


def test_a_server_that_is_killed_is_a_server_that_has_ended(files: Files) -> None:
    with listen(files) as server:
        files.accept("1")
        following = follow(files.views, newest(files.views, 1))
        assert next(following).message_id == "1"
        server.accept()[0].close()  # with our line unread
    files.accept("2")
    assert names(following) == ["2"]


def test_what_was_committed_last_is_shown_before_the_end(files: Files) -> None:
    files.accept("1")
    with listen(files) as server:
        following = follow(files.views, newest(files.views, 1))
        assert next(following).message_id == "1"
        with server.accept()[0] as connection:
            connection.recv(100)
            files.accept("2")
            files.quarantine.add([Drop("website", "id_not_string", NOW + 1_000, "3", b"{}")])
    assert names(following) == ["2", "3"]


def test_where_none_runs_nothing_is_shown(files: Files) -> None:
    files.accept("1")
    with pytest.raises(Invalid, match="no Segue runs"):
        next(follow(files.views, newest(files.views, 1)))
    listen(files).close()
    with pytest.raises(Invalid, match="no Segue runs"):
        next(follow(files.views, newest(files.views, 1)))


def test_a_server_that_lets_no_more_follow_is_told(files: Files) -> None:
    files.accept("1")
    with listen(files) as server:
        following = follow(files.views, newest(files.views, 1))
        assert next(following).message_id == "1"
        with server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(b'{"error":"20 others follow already"}\n')
        with pytest.raises(Unavailable, match="20 others"):
            next(following)


def test_the_newest_of_one_source_are_found_behind_those_of_another(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailing, "READ_AT_ONCE", 3)
    files.accept("1", "2", "3", "4", source="app")
    files.accept(*map(str, range(10, 30)))
    files.accept("5", source="app")
    assert names(newest(files.views, 3, "app").entries) == ["3", "4", "5"]
    assert names(newest(files.views, 9, "app").entries) == ["1", "2", "3", "4", "5"]
    assert names(newest(files.views, 3, "website").entries) == ["27", "28", "29"]
    assert names(newest(files.views, 8).entries) == [*map(str, range(23, 30)), "5"]
    assert names(newest(files.views, 0, "app").entries) == []
    monkeypatch.setattr(tailing, "LOOK_BACK", 22)
    assert names(newest(files.views, 3, "app").entries) == ["4", "5"]


def test_the_newest_of_one_source_are_its_dropped_ones_as_well(files: Files) -> None:
    files.accept("1", "2")
    files.quarantine.add([Drop("website", "id_not_string", files.clock.now + 1, "3", b"{}")])
    files.quarantine.add([Drop("app", "id_not_string", files.clock.now + 2, str(n), b"{}") for n in range(4, 9)])
    assert names(newest(files.views, 2, "website").entries) == ["2", "3"]
    assert names(newest(files.views, 2).entries) == ["7", "8"]


def test_one_source_is_followed_and_no_other(files: Files) -> None:
    files.accept("1")
    with listen(files):
        following = follow(files.views, newest(files.views, 1, "website"))
        assert next(following).message_id == "1"
        files.accept("2", source="app")
        files.accept("3")
        files.quarantine.add([Drop(name, "id_not_string", NOW + 9, name, b"{}") for name in ("app", "website", "")])
    assert names(following) == ["3", "website"]
