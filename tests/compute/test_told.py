"""The ledger's rule: the worked examples about sending, its cases one by one, and what must hold of any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segue.compute.told import NOTHING, Telling, Told, decide
from segue.compute.tuples import IdentityTuple, tuples
from segue.core.profile import ExternalId
from tests.compute.test_tuples import ids


class Ledger:
    """The ledger of one connection, the ids that profiles own, and all that was sent."""

    def __init__(self, kind="audience", *, include_anonymous=False):
        self.kind = kind
        self.include_anonymous = include_anonymous
        self.rows: dict[IdentityTuple, Told] = {}
        self.owned: set[ExternalId] = set()
        self.sent: list[tuple[IdentityTuple, str]] = []
        self.version = 0

    def tell(self, profile, has, value, *, absorbed=()) -> list[tuple[tuple[str, ...], str]]:
        """Ask the rule about a profile and write what it gives; gives what was sent, tuples without their gaps."""
        self.owned |= set(has)
        self.version += 1
        telling = self.ask(profile, has, value, absorbed=absorbed, version=self.version)
        self.rows |= dict(telling.put)
        for each in telling.drop:
            del self.rows[each]
        self.sent += telling.send
        return [(tuple(part for part in each if part is not None), said) for each, said in telling.send]

    def ask(self, profile, has, value, *, absorbed=(), version=0) -> Telling:
        now = tuples(has, include_anonymous=self.include_anonymous)
        numbers = {profile, *absorbed}
        rows = {each.text: row for each, row in self.rows.items() if row.profile in numbers or each in now}
        owned = self.owned.__contains__
        return decide(now, value, self.kind, rows, owned, profile=profile, version=version)


def test_55_one_message_for_who_gets_an_id_by_a_merge():
    ledger = Ledger()
    assert ledger.tell(2, ids(anon="9"), None) == []
    assert ledger.tell(1, ids(user="u1", anon="9"), "true", absorbed=[2]) == [(("u1",), "true")]


def test_56_after_a_merge_every_email_of_who_was_told_hears_of_the_end():
    ledger = Ledger()
    assert ledger.tell(1, ids(user="u1", email="a@x"), "true") == [(("u1", "a@x"), "true")]
    ends = ledger.tell(1, ids(user="u1", email="a@x b@x"), "false", absorbed=[2])
    assert ends == [(("u1", "a@x"), "false"), (("u1", "b@x"), "false")]


def test_58_a_new_email_is_told_though_nothing_changed():
    ledger = Ledger()
    ledger.tell(1, ids(user="u1"), "true")
    assert ledger.tell(1, ids(user="u1", email="a@x"), "true") == [(("u1", "a@x"), "true")]
    assert list(ledger.rows) == [IdentityTuple("u1", "a@x")]


def test_59_who_entered_and_left_between_two_ticks_hears_nothing():
    realtime, batch = Ledger(), Ledger()
    assert realtime.tell(1, ids(user="u1"), "true") == [(("u1",), "true")]
    assert realtime.tell(1, ids(user="u1"), "false") == [(("u1",), "false")]
    assert batch.tell(1, ids(user="u1"), "false") == []
    assert batch.rows == {}


def test_62_a_value_that_was_true_through_one_account_ends_with_it():
    ledger = Ledger()
    assert ledger.tell(1, ids(user="u1"), "true") == [(("u1",), "true")]
    assert ledger.tell(1, ids(user="u1"), "true") == []
    assert ledger.tell(1, ids(user="u1"), "false") == [(("u1",), "false")]


def test_an_equal_value_is_not_told_again():
    ledger = Ledger("trait")
    ledger.tell(1, ids(user="u1"), '{"a":1}')
    assert ledger.ask(1, ids(user="u1"), '{"a":1}') is NOTHING


def test_a_trait_that_is_no_more_is_told_as_null():
    ledger = Ledger("trait")
    assert ledger.tell(1, ids(user="u1"), None) == []
    assert ledger.tell(1, ids(user="u1"), "5") == [(("u1",), "5")]
    assert ledger.tell(1, ids(user="u1"), "7") == [(("u1",), "7")]
    assert ledger.tell(1, ids(user="u1", email="a@x"), None) == [(("u1", "a@x"), "null")]
    assert ledger.tell(1, ids(user="u1", email="a@x"), None) == []
    assert [row.value for row in ledger.rows.values()] == ["null"]


def test_a_tuple_whose_id_nobody_has_any_more_is_told_the_end_once():
    ledger = Ledger()
    ledger.tell(1, ids(user="u1", email="a@x"), "true")
    ledger.owned.clear()
    assert ledger.tell(1, ids(user="u2"), "true") == [(("u2",), "true"), (("u1", "a@x"), "false")]
    ledger.owned.clear()
    ledger.tell(1, ids(user="u2"), "false")
    ledger.owned.clear()
    assert ledger.tell(1, ids(user="u3"), "false") == []
    assert ledger.rows == {}


def test_rows_of_an_absorbed_profile_are_the_survivors_from_then_on():
    ledger = Ledger()
    ledger.tell(2, ids(user="u1"), "true")
    assert ledger.tell(1, ids(user="u1"), "true", absorbed=[2]) == []
    assert ledger.rows == {IdentityTuple("u1"): Told("true", 1, 1)}


def test_a_profile_that_cannot_be_spoken_of_is_told_nothing():
    assert Ledger().ask(1, ids(anon="1"), "true") is NOTHING


ID = st.sampled_from(ids(user="u1 u2", email="a@x b@x", anon="1 2", ios="I"))
STEP = st.tuples(
    st.sampled_from(["say", "say", "merge", "lose"]),
    st.integers(0, 2),
    st.integers(0, 2),
    ID,
    st.sampled_from([0, 1, 2]),
)
VALUES = {"audience": [None, "true", "false"], "trait": [None, "1", "2"]}


@given(st.sampled_from(["audience", "trait"]), st.booleans(), st.lists(STEP, max_size=25))
def test_the_ledger_is_the_value_and_nobody_hears_the_end_of_what_never_was(kind, include_anonymous, steps):
    """Profiles gain ids, merge, and lose ids to nobody; after each step the rule is asked about who changed."""
    ledger = Ledger(kind, include_anonymous=include_anonymous)
    off = "false" if kind == "audience" else "null"
    has: dict[int, set[ExternalId]] = {0: set(), 1: set(), 2: set()}
    into = {0: 0, 1: 1, 2: 2}
    said_yes: set[ExternalId] = set()
    for what, first, second, id_, chosen in steps:
        one, other = into[first], into[second]
        if what == "merge" and one != other:
            has[one] |= has.pop(other)
            into = {number: one if at == other else at for number, at in into.items()}
        elif what == "lose":
            has[one].discard(id_)
        elif not any(id_ in held for number, held in has.items() if number != one):
            has[one].add(id_)
        ledger.owned = set().union(*has.values())
        value = VALUES[kind][chosen]
        absorbed = [number for number, at in into.items() if at == one]
        before, told = dict(ledger.rows), len(ledger.sent)
        ledger.tell(one, has[one], value, absorbed=absorbed)
        sent = ledger.sent[told:]

        assert sorted(sent, key=str) == sorted(expected(ledger, before, has[one], value or off, off, absorbed), key=str)
        for each, said in sent:
            assert said != off or each.key_id in said_yes, "the end of what was never begun"
        said_yes |= {each.key_id for each, said in sent if said != off}
        now = tuples(has[one], include_anonymous=include_anonymous)
        assert {row.value for each, row in ledger.rows.items() if row.profile == one} <= {value or off}
        assert {each for each, row in ledger.rows.items() if row.profile == one} <= set(now)
        assert value in (None, off) or all(each in ledger.rows for each in now)
        assert ledger.ask(one, has[one], value, absorbed=absorbed) is NOTHING


def expected(ledger, before, has, value, off, absorbed):
    """The table of the contract, a line at a time, over all pairs."""
    now = set(tuples(has, include_anonymous=ledger.include_anonymous))
    for each in now | {each for each, row in before.items() if row.profile in absorbed}:
        last = before[each].value if each in before else None
        if each in now:
            related = {other.key_id for other, row in before.items() if row.value != off}
            changed = last != value if last is not None else value != off or each.key_id in related
            if changed:
                yield each, value
        elif last != off and each.key_id not in ledger.owned:
            yield each, off
