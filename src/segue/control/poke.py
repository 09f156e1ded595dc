"""A word to the running server, by the unix socket in its data folder.

Rule: no server is no error; what control has stored is read when it starts.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from segue.core.errors import Unavailable

SOCKET = "segue.sock"
ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 64_000_000


def ask(folder: Path, question: dict[str, Any], timeout_seconds: float = ANSWER_SECONDS) -> dict[str, Any] | None:
    """Send one line of JSON and read one. None where no server runs on this folder.

    Raises Unavailable where a server is there but gives no answer in time, or one that cannot be read.
    """
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            # By way of the open folder: a socket's address holds 107 bytes, a folder's path may be longer.
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
            connection.sendall(msgspec.json.encode(question) + b"\n")
            return _answer(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(f"the server running on {folder} gave no answer: {error}") from None
    finally:
        os.close(directory)


def poke(folder: Path) -> bool:
    """Tell the running server to read control again. False where none runs."""
    return ask(folder, {"do": "reload"}) is not None


def _answer(connection: socket.socket) -> dict[str, Any]:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = connection.recv(65_536)
        if not piece or len(line) > ANSWER_BYTES_MAX:
            raise OSError("the connection ended")
        line += piece
    return msgspec.json.decode(line, type=dict[str, Any])
