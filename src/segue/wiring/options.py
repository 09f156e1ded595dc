"""What `segue up` was told, as it is handed to the child processes.

Rule: everything that a child needs to know and that is not in the environment or the data folder stands here.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import inet_aton

from msgspec import Struct

from segue.core.errors import Invalid

LOOPBACK, PORT = "127.0.0.1", 8000
"""Where Segue listens unless it is told otherwise."""


class Options(Struct, frozen=True, kw_only=True):
    """The options of one run. Ports of 0 take a free one."""

    data: str
    host: str = LOOPBACK
    port: int = PORT
    workspace: str | None = None
    demo: bool = False
    sandbox_port: int | None = None
    single: bool = False

    def words(self) -> tuple[str, ...]:
        """What makes `segue up` listen where it does now, in as many processes; defaults are left out."""
        host = [] if self.host == LOOPBACK else ["--host", self.host]
        port = [] if self.port == PORT else ["--port", str(self.port)]
        return (*host, *port, *(["--single"] if self.single else []))

    def check(self) -> None:
        """Raises Invalid where the options do not go together, or the host is none."""
        if not is_address(self.host):
            raise Invalid(f"{self.host!r} is not an IP address; a listening address is given as one", field="--host")
        if self.demo and not is_loopback(self.host):
            raise Invalid(
                f"--demo has keys that everybody knows, so it serves this machine only; {self.host} is public",
                field="--host",
            )


class Pipes(Struct, frozen=True, kw_only=True):
    """File descriptors of a child: its life (closed when the supervisor ends), its word to it, and two wake-up pipes.

    `wake` goes from the collector to the worker, `outbox` from the worker to the collector.
    """

    life: int
    word: int
    wake: int = -1
    outbox: int = -1


class Word(Struct, frozen=True, kw_only=True):
    """What a child tells its supervisor, once: where it listens, or why it cannot."""

    url: str = ""
    write_key: str = ""
    error: str = ""


def is_address(host: str) -> bool:
    """Whether one can listen on it: an IP address, or `localhost`."""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host, which may be written as URLs allow it: `127.1`, `LOCALHOST.`."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        try:
            address = IPv4Address(inet_aton(host))
        except (OSError, ValueError):
            return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
