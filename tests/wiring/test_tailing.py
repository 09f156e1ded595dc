"""Following an instance's files and its socket, where the server is this test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from segue.core.errors import Invalid, Unavailable
from segue.core.event import NewRecord
from segue.log.sqlite import SQLiteLogWriter
from segue.state.control import ControlStore
from segue.state.deliveries import DeliveryWriter
from segue.state.quarantine import Drop, Quarantine
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance
from segue.wiring.tailing import follow, newest
from segue.wiring.texts import Entry
from segue.wiring.views import Views, open_views


class House:
    """The files of an instance that no process serves."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        clock = SystemClock()
        self.instance = Instance(folder)
        self.instance.create()
        self.log = stack.enter_context(closing(SQLiteLogWriter(self.instance.log, clock)))
        self.quarantine = stack.enter_context(Quarantine(self.instance.quarantine))
        stack.enter_context(closing(ControlStore(self.instance.control, clock)))
        stack.enter_context(closing(DeliveryWriter(self.instance.state)))
        self.views: Views = stack.enter_context(open_views(self.instance, clock))

    def accept(self, *names: str, source: str = "website") -> None:
        """Append one record for each name, which is its messageId."""
        self.log.append(
            [
                NewRecord(
                    source, "track", "u:u", name, 1_000 + int(name), b'{"type":"track","messageId":"%d"}' % int(name)
                )
                for name in names
            ]
        )

    def listen(self) -> socket.socket:
        """The socket of a server that accepts and says nothing."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(self.instance.socket))
        server.listen()
        return server


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        yield House(Path("data"), stack)  # the address of a socket holds 107 bytes


def names(entries: Iterator[Entry] | list[Entry]) -> list[str]:
    return [entry.message_id for entry in entries]


def test_a_server_that_ends_after_the_first_entry_was_followed(house: House) -> None:
    house.accept("1", "2")
    with house.listen():
        following = follow(house.views, newest(house.views, 2))
        assert next(following).message_id == "1"
    # It never took up the connection, nor read what was said to it: that resets the connection.
    assert names(following) == ["2"]


def test_a_server_that_is_killed_is_a_server_that_has_ended(house: House) -> None:
    with house.listen() as server:
        house.accept("1")
        following = follow(house.views, newest(house.views, 1))
        assert next(following).message_id == "1"
        server.accept()[0].close()  # with our line unread
    house.accept("2")
    assert names(following) == ["2"]


def test_what_was_committed_last_is_shown_before_the_end(house: House) -> None:
    house.accept("1")
    with house.listen() as server:
        following = follow(house.views, newest(house.views, 1))
        assert next(following).message_id == "1"
        with server.accept()[0] as connection:
            connection.recv(100)
            house.accept("2")
            house.quarantine.add([Drop("website", "id_not_string", 3_000, "3", b"{}")])
    assert names(following) == ["2", "3"]


def test_where_none_runs_nothing_is_shown(house: House) -> None:
    house.accept("1")
    with pytest.raises(Invalid, match="no Segue runs"):
        next(follow(house.views, newest(house.views, 1)))
    house.listen().close()
    with pytest.raises(Invalid, match="no Segue runs"):
        next(follow(house.views, newest(house.views, 1)))


def test_a_server_that_lets_no_more_follow_is_told(house: House) -> None:
    house.accept("1")
    with house.listen() as server:
        following = follow(house.views, newest(house.views, 1))
        assert next(following).message_id == "1"
        with server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(b'{"error":"20 others follow already"}\n')
        with pytest.raises(Unavailable, match="20 others"):
            next(following)
