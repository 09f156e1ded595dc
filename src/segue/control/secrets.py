"""Secrets at rest: encrypted with a key that stands in `SEGUE_SECRET_KEY`, or in a file made at first start.

Rule: only an encrypted form is ever stored, and nothing here prints a secret or a key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from segue.core.errors import Damaged, Invalid

KEY_FILE = "secret.key"

VARIABLE = "SEGUE_SECRET_KEY"


class Secrets:
    """Encrypts with the first key, decrypts with any: so that a key can be changed without an outage."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises Invalid where a key is not 32 bytes in URL-safe base64."""
        assert keys, "at least one key"
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise Invalid(
                "each key must be 32 random bytes in URL-safe base64; several are divided by commas, and the "
                "first encrypts. Make one with: openssl rand -base64 32 | tr '+/' '-_'",
                field=VARIABLE,
            ) from None

    @classmethod
    def open(cls, folder: Path, variable: str = "") -> Secrets:
        """The keys of this instance: those of `SEGUE_SECRET_KEY`, then the key file's.

        Without either, the file is made. With the variable, a file that is already there still decrypts.
        """
        keys = [key.strip() for key in variable.split(",") if key.strip()]
        path = folder / KEY_FILE
        if not keys or path.exists():
            keys.append(_key_of(path))
        return cls(keys)

    @classmethod
    def passing(cls) -> Secrets:
        """A key that nobody keeps: for a plan against an instance that does not exist yet."""
        return cls([Fernet.generate_key().decode()])

    def __repr__(self) -> str:
        return "Secrets(***)"

    def encrypt(self, value: bytes) -> str:
        """The value as it may be stored. Two calls give two texts."""
        return self._fernet.encrypt(value).decode()

    def decrypt(self, token: str) -> bytes | None:
        """What was encrypted; None where none of the keys did it."""
        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            return None


def _key_of(path: Path) -> str:
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    key = path.read_text("ascii", errors="replace").strip()
    try:
        Fernet(key)
    except ValueError:
        raise Damaged(f"{path} holds no key; restore it from a backup, or set {VARIABLE}") from None
    return key


def _make_key(path: Path) -> None:
    # Linked into place when it is whole and on disk: a crash leaves no half key, and of two processes that
    # start at once one makes the key and both use it.
    with NamedTemporaryFile(dir=path.parent, prefix=KEY_FILE) as draft:
        draft.write(Fernet.generate_key() + b"\n")
        draft.flush()
        os.fsync(draft.fileno())
        try:
            os.link(draft.name, path)
        except FileExistsError:
            return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
