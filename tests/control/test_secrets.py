"""Secrets at rest: where the key comes from, and what nobody can read."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from segue.control.secrets import KEY_FILE, Secrets
from segue.core.errors import Damaged, Invalid


def key() -> str:
    return Fernet.generate_key().decode()


def test_a_key_file_is_made_at_first_start_for_its_owner_alone(tmp_path):
    token = Secrets.open(tmp_path).encrypt(b"value")
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert Secrets.open(tmp_path).decrypt(token) == b"value"


def test_a_key_in_the_environment_makes_no_file(tmp_path):
    Secrets.open(tmp_path, key())
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_still_decrypts_after_the_environment_brings_a_key(tmp_path):
    token = Secrets.open(tmp_path).encrypt(b"value")
    assert Secrets.open(tmp_path, key()).decrypt(token) == b"value"


def test_the_first_of_several_keys_encrypts_and_all_decrypt(tmp_path):
    old, new = key(), key()
    token = Secrets([old]).encrypt(b"value")
    both = Secrets.open(tmp_path, f"{new}, {old}")
    assert both.decrypt(token) == b"value"
    assert Secrets([new]).decrypt(both.encrypt(b"other")) == b"other"


def test_another_key_decrypts_nothing():
    assert Secrets([key()]).decrypt(Secrets([key()]).encrypt(b"value")) is None


@pytest.mark.parametrize("bad", ["short", "x" * 44, "ä" * 44])
def test_a_bad_key_is_refused_without_being_quoted(tmp_path, bad):
    with pytest.raises(Invalid, match="SEGUE_SECRET_KEY") as caught:
        Secrets.open(tmp_path, bad)
    assert bad not in str(caught.value)


def test_a_key_file_that_holds_no_key_is_damaged(tmp_path):
    (tmp_path / KEY_FILE).write_text("nothing")
    with pytest.raises(Damaged, match=KEY_FILE):
        Secrets.open(tmp_path)


def test_a_key_file_that_others_could_read_is_closed_to_them(tmp_path):
    (tmp_path / KEY_FILE).write_text(key())
    (tmp_path / KEY_FILE).chmod(0o644)
    Secrets.open(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


OPEN = """
import sys
from pathlib import Path
from segue.control.secrets import Secrets
print(Secrets.open(Path(sys.argv[1])).encrypt(b"x"))
"""


def test_processes_that_start_at_once_share_one_key(tmp_path):
    children = [subprocess.Popen([sys.executable, "-c", OPEN, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(4)]
    tokens = [child.communicate(timeout=60)[0].decode().strip() for child in children]
    secrets = Secrets.open(tmp_path)
    assert [secrets.decrypt(token) for token in tokens] == [b"x"] * 4


def test_its_repr_shows_no_key():
    made = key()
    assert made not in repr(Secrets([made]))
