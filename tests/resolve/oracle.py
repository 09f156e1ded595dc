"""The reference's words on identity, written down as plainly as they read: dictionaries, and a scan over everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from segue.core.profile import PERIOD_MS, IdentityRules

Id = tuple[str, str]
Order = tuple[int, int, str]


@dataclass
class Person:
    """One profile. `ids` has when each was linked; `traits` the order and the value of each."""

    ids: dict[Id, int] = field(default_factory=dict)
    traits: dict[str, tuple[Order, Any]] = field(default_factory=dict)
    absorbed: set[int] = field(default_factory=set)
    accounts: set[int] = field(default_factory=set)


@dataclass
class Oracle:
    """All profiles of a space by their numbers, users and accounts."""

    users: dict[int, Person] = field(default_factory=dict)
    accounts: dict[int, Person] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    given: int = 0

    def apply(self, event: dict[str, Any], rules: IdentityRules, order: Order) -> None:
        """One event, the next of the log; `order` is its time, its receipt and its messageId."""
        group = event.get("groupId") if event["type"] == "group" else None
        group = None if group in rules.blocked else group
        ids = promoted(event, rules)
        if event["type"] == "alias" or (not ids and group is None):
            code = "alias" if event["type"] == "alias" else "no_identifier"
            self.skipped[code] = self.skipped.get(code, 0) + 1
            return
        user = self._user(ids, rules, order[1]) if ids else None
        if user is not None and event["type"] == "identify":
            say(user, event.get("traits", {}), order)
        if group is not None:
            account = self._account(group)
            say(self.accounts[account], event.get("traits", {}), order)
            if user is not None:
                user.accounts.add(account)

    def _user(self, ids: list[Id], rules: IdentityRules, now: int) -> Person:
        while True:
            matched = [number for number in sorted(self.users) if set(ids) & set(self.users[number].ids)]
            union = {known: at for number in matched for known, at in self.users[number].ids.items()}
            union |= {new: now for new in ids if new not in union}
            before = [self.users[number].ids for number in matched]
            if not any(exceeds(union, before, rule, now) for rule in rules.identifiers):
                break
            ids = ids[:-1]
        if not matched:
            self.given += 1
            matched = [self.given]
            self.users[self.given] = Person()
        survivor = self.users[matched[0]]
        for number in matched[1:]:
            absorbed = self.users.pop(number)
            survivor.absorbed |= {number} | absorbed.absorbed
            survivor.accounts |= absorbed.accounts
            for name, (order, value) in absorbed.traits.items():
                say(survivor, {name: value}, order)
        survivor.ids = union
        return survivor

    def _account(self, group: str) -> int:
        for number, account in self.accounts.items():
            if ("group_id", group) in account.ids:
                return number
        self.given += 1
        self.accounts[self.given] = Person(ids={("group_id", group): 0})
        return self.given


def promoted(event: dict[str, Any], rules: IdentityRules) -> list[Id]:
    """The ids of an event, the highest priority first."""
    places = {
        "user_id": [event.get("userId")],
        "anonymous_id": [event.get("anonymousId")],
        "email": [
            event.get("traits", {}).get("email") if event["type"] == "identify" else None,
            event.get("context", {}).get("traits", {}).get("email"),
        ],
    }
    found = [(rule.type, value) for rule in rules.identifiers for value in places.get(rule.type, []) if value]
    return [each for each in dict.fromkeys(found) if each[1] not in rules.blocked]


def exceeds(union: dict[Id, int], before: list[dict[Id, int]], rule: Any, now: int) -> bool:
    """Whether the type of the rule has grown beyond its limit."""
    within = PERIOD_MS[rule.per]

    def count(ids: dict[Id, int]) -> int:
        return sum(type_ == rule.type and (within is None or at > now - within) for (type_, _), at in ids.items())

    return count(union) > max([rule.limit, *map(count, before)])


def say(person: Person, traits: dict[str, Any], order: Order) -> None:
    """The latest value of each trait stays."""
    for name, value in traits.items():
        if name not in person.traits or person.traits[name][0] < order:
            person.traits[name] = (order, value)
