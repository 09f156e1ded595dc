"""Tokens of a space: shown once, stored as a hash, taken back by name."""

from __future__ import annotations

import pytest

from segue.control import space_tokens
from segue.control.space_tokens import TOKENS_MAX
from segue.core.errors import Invalid
from segue.state.spaces import SpaceRow, SpaceTokenRow


@pytest.fixture
def spaces(store):
    with store.change() as change:
        return [change.put_space(SpaceRow(slug=slug, name=slug)) for slug in ("prod", "dev")]


def test_a_token_is_found_by_its_hash_and_never_stored_itself(store, spaces, tmp_path):
    token, row = space_tokens.create(store, "prod", "backend")
    assert store.snapshot().space_tokens == (row,)
    assert row.hash == space_tokens.token_hash(token)
    assert (row.space, row.name, row.last_four) == (spaces[0].id, "backend", token[-4:])
    assert len(token) >= len(space_tokens.PREFIX) + 43
    store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert b"backend" in stored
    assert token.encode() not in stored


def test_every_token_is_another(store, spaces):
    tokens = {space_tokens.create(store, "prod", f"t{number}")[0] for number in range(20)}
    assert len(tokens) == 20


def test_a_name_is_taken_once_in_a_space(store, spaces):
    space_tokens.create(store, "prod", "backend")
    space_tokens.create(store, "dev", "backend")
    with pytest.raises(Invalid, match=r"^name: the space 'prod' has a token 'backend' already"):
        space_tokens.create(store, "prod", "backend")


def test_a_revoked_token_is_gone_and_the_others_stay(store, spaces):
    space_tokens.create(store, "prod", "backend")
    _token, kept = space_tokens.create(store, "prod", "other")
    assert space_tokens.revoke(store, "prod", "backend").name == "backend"
    assert space_tokens.tokens_of(store.snapshot(), spaces[0].id) == [kept]
    with pytest.raises(Invalid, match=r"^name: the space 'prod' does not have a token 'backend'"):
        space_tokens.revoke(store, "prod", "backend")


def test_a_change_of_tokens_is_a_change_of_control(store, spaces):
    before = store.version()
    space_tokens.create(store, "prod", "backend")
    space_tokens.revoke(store, "prod", "backend")
    assert store.version() == before + 2


def test_tokens_of_a_space_are_bounded(store, spaces):
    with store.change() as change:
        for number in range(TOKENS_MAX):
            row = SpaceTokenRow(space=spaces[0].id, name=f"t{number}", hash=str(number), last_four="abcd")
            change.add_token(row)
    with pytest.raises(Invalid, match=f"at most {TOKENS_MAX} tokens"):
        space_tokens.create(store, "prod", "another")
    space_tokens.create(store, "dev", "another")


def test_a_space_must_be_named_where_there_are_several(store, spaces):
    with pytest.raises(Invalid, match="choose one of: prod, dev"):
        space_tokens.create(store, None, "backend")


def test_a_token_without_a_name_gets_the_first_free_one(store, spaces):
    names = [space_tokens.create(store, "prod", None)[1].name for _ in range(2)]
    space_tokens.revoke(store, "prod", "token-1")
    assert [*names, space_tokens.create(store, "prod", None)[1].name] == ["token-1", "token-2", "token-1"]


def test_a_token_that_got_out_can_be_revoked_by_itself(store, spaces):
    token, row = space_tokens.create(store, "prod", "backend")
    with pytest.raises(Invalid) as caught:
        space_tokens.revoke(store, "dev", token)
    assert token not in str(caught.value)
    assert space_tokens.revoke(store, "prod", token) == row
    assert store.snapshot().space_tokens == ()
