"""What is written and read of computed traits and audiences: what each profile has, what was told to whom, timers.

Rule: a row is what its table holds; nothing here is text of SQL. Values are canonical JSON; `None` is "has none".
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from segue.state.outbox import OutboxRow

Phase = Literal["building", "sweeping", "live", "frozen", "deleted"]
"""Of a computation: its history is being read; every profile is being evaluated; it is current; it was disabled, and
stays as it is; it is no more, and what profiles had of it stays with them."""


OFF: dict[str, str] = {"audience": "false", "computed_trait": "null"}
"""By kind of computation: the value that says that there is nothing, of a profile that had something once."""


class Built(Struct, frozen=True, kw_only=True):
    """What the state of one generation of a computation is made of. Times in ms, as in `compute.windows.Reach`."""

    generation: int
    definition: str
    include_anonymous: bool = False
    retention_ms: int | None = None
    received_from_ms: int | None = None


class ComputeState(Struct, kw_only=True):
    """How far a space has computed. `t` is its time, in ms since 1970, which never goes back.

    `emitted` is how many messages were ever put in the outbox.
    """

    t: int = 0
    emitted: int = 0


class ComputationState(Struct, kw_only=True):
    """How far one computation is.

    `live` is the generation that profiles have values of; `next` the one that is being built beside it. `next` sees
    events as they come from the offset `position` on; those before are read from the lake, and were up to `after`: a
    number of a profile and an offset. While `swept` is not None, profiles are being evaluated anew, in the order of
    their numbers, up to `last`; `swept` is the last one that was.
    """

    key: str
    kind: Literal["audience", "computed_trait"]
    live: Built | None = None
    next: Built | None = None
    position: int = 0
    after: tuple[int, int] = (0, -1)
    swept: int | None = None
    last: int = 0
    begun_at: int = 0
    """When the newest generation was begun, in ms."""
    frozen: bool = False
    """It is switched off."""
    stale: bool = False
    """What is live was switched off for a while; it stands still until `next` takes its place."""
    deleted: bool = False

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if self.deleted:
            return "deleted"
        if self.frozen:
            return "frozen"
        if self.next is not None:
            return "building"
        return "live" if self.swept is None else "sweeping"


class ConnectionState(Struct, kw_only=True):
    """How far a connection is with telling a destination. Times in ms since 1970.

    `after` is the last profile of the first sync that was told; None: the first sync is over. `done` of `total`
    profiles: `total` is how many there were to tell when it began. `tick` is the last instant of its cadence, and
    `ticking` the last profile told in it, None where it is over.
    """

    computation: int
    destination: int
    after: int | None = 0
    done: int = 0
    total: int = 0
    began_at: int = 0
    ended_at: int = 0
    tick: int = 0
    ticking: int | None = None
    sent: int = 0
    """Messages ever."""
    sent_at: int = 0


class HoldingRow(NamedTuple):
    """What one profile has of one computation. `since` in ms; `once`: it was a member at some time."""

    profile: int
    value: str | None
    since: int
    version: int
    once: bool


class Named(Struct):
    """What a computation is called: the part of its `ComputationState` that whoever shows its values needs."""

    key: str
    kind: Literal["audience", "computed_trait"]
    deleted: bool = False


class Held(NamedTuple):
    """What one profile has of one computation: a value since an instant in ms, or none."""

    key: str
    kind: Literal["audience", "computed_trait"]
    deleted: bool
    value: str | None
    since: int


class ToldRow(NamedTuple):
    """What an identity tuple of a profile was told last over one connection."""

    connection: int
    tuple: str
    profile: int
    value: str
    version: int
    message_id: str
    at: int


class ComputedRow(NamedTuple):
    """The state of all leaves of a profile, and the next instant at which something may change by itself."""

    profile: int
    due: int | None
    body: bytes


class ChunkRow(NamedTuple):
    """A part of a long list of entries of one leaf."""

    profile: int
    leaf: int
    number: int
    body: bytes


class ComputedDelta(Struct, kw_only=True):
    """What one space computed since the last commit."""

    state: ComputeState
    rows: list[ComputedRow] = []
    chunks: list[ChunkRow] = []
    chunks_gone: list[tuple[int, int, int]] = []
    """(profile, leaf, number)."""
    holdings: list[tuple[int, HoldingRow]] = []
    """(computation, row)."""
    told: list[ToldRow] = []
    told_gone: list[tuple[int, str]] = []
    """(connection, tuple)."""
    pending: list[tuple[int, int]] = []
    """(connection, profile) that wait for the next instant of the connection's cadence."""
    pending_gone: list[tuple[int, int]] = []
    merged: list[tuple[int, int]] = []
    """(survivor, absorbed): of the absorbed profile nothing stays but what it was told."""
    outbox: list[OutboxRow] = []
    moved: list[str] = []
    """Ids of messages that are in the log, so that their outbox rows go."""
    computations: dict[int, ComputationState] = {}
    connections: dict[int, ConnectionState] = {}
    connections_gone: list[int] = []
