"""The word to a running server."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segue.control.poke import SOCKET, ask, poke
from segue.core.errors import Unavailable


@contextmanager
def server(folder: Path, answer: bytes) -> Iterator[list[bytes]]:
    """A server that reads one line and gives `answer`."""
    asked: list[bytes] = []
    directory = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                asked.append(lines.readline())
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()
    os.close(directory)


def test_a_running_server_is_told_to_reload(tmp_path):
    with server(tmp_path, b'{"ok": true}\n') as asked:
        assert poke(tmp_path)
    assert asked == [b'{"do":"reload"}\n']


def test_the_answer_is_handed_back(tmp_path):
    with server(tmp_path, b'{"version": 3}\n'):
        assert ask(tmp_path, {"do": "version"}) == {"version": 3}


def test_a_folder_with_a_long_path_works(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with server(folder, b"{}\n"):
        assert poke(folder)


def test_no_server_is_no_error(tmp_path):
    assert not poke(tmp_path)
    assert not poke(tmp_path / "missing")


def test_a_socket_that_nobody_listens_on_is_no_server(tmp_path):
    with server(tmp_path, b"{}\n"):
        poke(tmp_path)
    assert (tmp_path / SOCKET).exists()
    assert not poke(tmp_path)


@pytest.mark.parametrize("answer", [b"", b"no line", b"no json\n", b"[]\n"])
def test_an_answer_that_cannot_be_read_is_said(tmp_path, answer):
    with server(tmp_path, answer), pytest.raises(Unavailable, match="gave no answer"):
        poke(tmp_path)
