"""What makes an event acceptable: the Spec's rules for each call, as reason codes.

Rule: a check reads and never changes; null is like absent; the first rule that is broken names the event's reason.
"""

from __future__ import annotations

from collections.abc import Callable

from segue.collect.facts import WRONG, Facts


def broken_rule(kind: str | None, facts: Facts) -> str:
    """The reason code (`core.reasons.INGEST`) for which an event of this call type is dropped, "" for a good one.

    Sources: Segment, "Delivery Overview" (ingest failures) and the Spec's page of each call.
    """
    rule = _RULES.get(kind or "")
    if rule is None:
        return "type_unknown"
    if facts.message_id is WRONG:
        return "message_id_invalid"
    if facts.user_id is WRONG or facts.anonymous_id is WRONG:
        return "id_not_string"
    if facts.user_id is None and kind == "alias":
        return "user_id_required"
    if facts.user_id is None and facts.anonymous_id is None:
        return "no_user_anon_id"
    reason = rule(facts)
    if reason:
        return reason
    if facts.context is WRONG:
        return "context_not_object"
    if facts.integrations is WRONG:
        return "integrations_not_object"
    # Whatever the call is, what reads the log takes `event` for a text.
    return "event_not_string" if facts.event is WRONG else ""


def _track(facts: Facts) -> str:
    if facts.event is WRONG:
        return "event_not_string"
    if not (facts.event and facts.event.strip()):
        return "event_not_defined"
    return "properties_not_object" if facts.properties is WRONG else ""


def _identify(facts: Facts) -> str:
    return "traits_not_object" if facts.traits is WRONG else ""


def _group(facts: Facts) -> str:
    if facts.group_id is WRONG or facts.group_id is None:
        return "group_id_required"
    return _identify(facts)


def _view(facts: Facts) -> str:
    """A page or a screen."""
    if facts.name is WRONG:
        return "name_not_string"
    if facts.category is WRONG:
        return "category_not_string"
    return "properties_not_object" if facts.properties is WRONG else ""


def _alias(facts: Facts) -> str:
    return "previous_id_required" if facts.previous_id is WRONG or facts.previous_id is None else ""


_RULES: dict[str, Callable[[Facts], str]] = {
    "identify": _identify,
    "track": _track,
    "page": _view,
    "screen": _view,
    "group": _group,
    "alias": _alias,
}
