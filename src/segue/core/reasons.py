"""Every reason code a user may meet: at which step, whose fault it is, and what to do.

Rule: a code is written once, here; `status`, `explain`, the docs and the tests read it from this table.
Sources: Segment's ingest failures and discard reasons (Delivery Overview); the ones marked ours fill gaps.
"""

from __future__ import annotations

from msgspec import Struct


class Reason(Struct, frozen=True):
    """One code. `step` is ingest, filtered or refused; `fault` is sender, settings, vendor or Segue."""

    code: str
    step: str
    fault: str
    meaning: str
    remedy: str
    ours: bool = False


def _table(*rows: Reason) -> dict[str, Reason]:
    return {row.code: row for row in rows}


INGEST = _table(
    Reason("no_user_anon_id", "ingest", "sender", "Neither userId nor anonymousId is given.", "Send one of them."),
    Reason("id_not_string", "ingest", "sender", "userId or anonymousId is not a text, or is empty.", "Send ids as non-empty strings."),
    Reason("event_not_defined", "ingest", "sender", "A track call has no event name.", "Name the event."),
    Reason("event_not_string", "ingest", "sender", "The event name is not a text.", "Send the name as a string."),
    Reason("properties_not_object", "ingest", "sender", "properties is not an object.", "Send an object, or leave it out."),
    Reason("traits_not_object", "ingest", "sender", "traits is not an object.", "Send an object, or leave it out."),
    Reason("name_not_string", "ingest", "sender", "name of a page or screen call is empty or not a text.", "Send a non-empty string, or leave it out."),
    Reason("category_not_string", "ingest", "sender", "category of a page or screen call is empty or not a text.", "Send a non-empty string, or leave it out."),
    Reason("consent_categorypreferences_should_exist", "ingest", "sender", "Segment Consent Preference Updated has no context.consent.categoryPreferences.", "Send the preferences with that event."),
    Reason("consent_categorypreferences_fields_should_be_object", "ingest", "sender", "context.consent.categoryPreferences of Segment Consent Preference Updated is not an object.", "Send an object: category to true or false."),
    Reason("consent_categorypreferences_fields_should_be_bool", "ingest", "sender", "A category of Segment Consent Preference Updated is neither true nor false.", "Send true or false for each category."),
    Reason("device_advertisingid_should_be_string", "ingest", "sender", "context.device.advertisingId of Segment Consent Preference Updated is not a text.", "Send a string, or leave it out."),
    Reason("consent_version_should_be_number", "ingest", "sender", "context.consent.version of Segment Consent Preference Updated is not a number.", "Send a number, or leave it out."),
    Reason("source_disabled", "ingest", "settings", "The source is switched off.", "Enable the source."),
    Reason("unknown_source", "ingest", "sender", "No source has this write key.", "Use a write key of one of the sources."),
    Reason("empty_batch", "ingest", "sender", "The batch holds no events.", "Send at least one event."),
    Reason("event_not_object", "ingest", "sender", "An item of the batch is not an object.", "Send each event as an object.", ours=True),
    Reason("type_unknown", "ingest", "sender", "type is missing, or none of identify, track, page, screen, group, alias.", "Name the call type.", ours=True),
    Reason("group_id_required", "ingest", "sender", "A group call has no groupId, or it is not a non-empty text.", "Send groupId as a string.", ours=True),
    Reason("previous_id_required", "ingest", "sender", "An alias call has no previousId, or it is not a non-empty text.", "Send previousId as a string.", ours=True),
    Reason("user_id_required", "ingest", "sender", "An alias call has no userId.", "Send userId as a string.", ours=True),
    Reason("message_id_invalid", "ingest", "sender", "messageId is not a text of at most 100 characters.", "Shorten it, or leave it out.", ours=True),
    Reason("context_not_object", "ingest", "sender", "context is not an object.", "Send an object, or leave it out.", ours=True),
    Reason("integrations_not_object", "ingest", "sender", "integrations is not an object.", "Send an object, or leave it out.", ours=True),
    Reason("event_too_large", "ingest", "sender", "An event of a batch is over 32 KB.", "Send less in one event.", ours=True),
    Reason("nested_too_deep", "ingest", "sender", "The event is nested deeper than 200 levels.", "Flatten it.", ours=True),
)  # fmt: skip

FILTERED = _table(
    Reason("DESTINATION_DISABLED", "filtered", "settings", "The destination is switched off.", "Enable it; `segue replay` sends the gap.", ours=True),
    Reason("NOT_ADDRESSED", "filtered", "settings", "An audience or computed trait says it to other destinations.", "There is nothing to do, unless this destination is to be told too: name it among the definition's destinations.", ours=True),
    Reason("FILTERED_BY_INTEGRATIONS_OBJECT", "filtered", "sender", "The event's integrations object excludes this destination.", "Set its name, or All, to true."),
    Reason("MESSAGE_SENT_CLIENT_SIDE", "filtered", "sender", "The browser already sent it (_metadata.bundled).", "There is nothing to do: this avoids a double."),
    Reason("UNSUPPORTED_EVENT_TYPE", "filtered", "vendor", "The destination does not take this call type.", "There is nothing to do, unless another call type would reach it."),
)  # fmt: skip

REFUSED = _table(
    Reason("BAD_REQUEST", "refused", "vendor", "The vendor answered 400.", "Read its message in `segue explain`; correct what is sent, then `segue redrive`."),
    Reason("INVALID_AUTHENTICATION", "refused", "settings", "The vendor answered 401 or 403.", "Check the key, then `segue redrive`."),
    Reason("NOT_FOUND", "refused", "settings", "The vendor answered 404 or 410.", "Check the endpoint, then `segue redrive`."),
    Reason("UNSUPPORTED_BY_VENDOR", "refused", "vendor", "The vendor answered 501: it does not take this call type.", "There is nothing to do, unless another call type would reach it.", ours=True),
    Reason("REDIRECTED", "refused", "settings", "The vendor answered with a redirect; Segue follows none.", "Set the endpoint to the final address.", ours=True),
    Reason("MESSAGE_REJECTED", "refused", "vendor", "The vendor answered another 4xx.", "Read its message in `segue explain`."),
    Reason("ADDRESS_REFUSED", "refused", "settings", "The address is not a public one, and not allowed.", "Name it in SEGUE_ALLOW_INTERNAL if it is meant.", ours=True),
    Reason("RETRY", "refused", "vendor", "The retry window of four hours ended without success.", "When the vendor is back: `segue redrive`."),
    Reason("PAYLOAD_VALIDATION_FAILED", "refused", "sender", "The event lacks something that the destination needs.", "Send it; the message names the field."),
    Reason("LOG_EXPIRED", "refused", "settings", "Retention dropped the event before this destination had read it.", "Give the disk more room, or fix the destination sooner.", ours=True),
    Reason("INTERNAL", "refused", "Segue", "Segue failed to map the event.", "Report it with the message; then `segue redrive`."),
)  # fmt: skip

REASONS = {**INGEST, **FILTERED, **REFUSED}


def refusal_reason(status: int) -> str:
    """The code for an answer that refuses for good."""
    if status in (401, 403):
        return "INVALID_AUTHENTICATION"
    if status in (404, 410):
        return "NOT_FOUND"
    if 300 <= status < 400:
        return "REDIRECTED"
    return {400: "BAD_REQUEST", 501: "UNSUPPORTED_BY_VENDOR"}.get(status, "MESSAGE_REJECTED")
