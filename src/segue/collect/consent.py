"""What a change of consent must hold beside what every track call must: preferences that leave nothing to guess.

Rule: only the one event that changes consent is looked at; every other pays for a comparison of its name.
Source: Segment, "Delivery Overview", failed on ingest. Where the codes of the preferences are found shortened, as
`…_fields_should_be_bool`, what is left out is `consent_categorypreferences`.
"""

from __future__ import annotations

from msgspec import Raw

from segue.collect.parse import NULL, Fields
from segue.core.event import raw_object

CONSENT_EVENT = "Segment Consent Preference Updated"

_BOOLS = (b"true", b"false")


def broken_consent(context: Fields) -> str:
    """The reason code for which a change of consent with this `context` is dropped, "" for a good one.

    A category that is null is neither true nor false, unlike one that is left out, which Segment takes for false. The
    identifier and the version may be missing or null.
    """
    consent = raw_object(context.get("consent", NULL))
    preferences = consent.get("categoryPreferences", NULL)
    if preferences == NULL:
        return "consent_categorypreferences_should_exist"
    if _first(preferences) != b"{":
        return "consent_categorypreferences_fields_should_be_object"
    if any(bytes(value) not in _BOOLS for value in raw_object(preferences).values()):
        return "consent_categorypreferences_fields_should_be_bool"
    device = raw_object(context.get("device", NULL))
    if _first(device.get("advertisingId", NULL)) not in b'"n':
        return "device_advertisingid_should_be_string"
    if _first(consent.get("version", NULL)) not in b"-0123456789n":
        return "consent_version_should_be_number"
    return ""


def _first(raw: Raw) -> bytes:
    """The first byte of a JSON value, which says of what type it is."""
    return bytes(raw)[:1]
