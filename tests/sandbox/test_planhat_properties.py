"""What holds in Planhat's sandbox after any run of calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segue.sandbox.frame import Inbound
from segue.sandbox.keys import Key
from segue.sandbox.planhat import receiver
from segue.sandbox.planhat_mapping import email_key
from segue.sandbox.planhat_tenant import Tenant
from segue.sandbox.store import Store

from .conftest import ManualClock

CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["identify", "identify", "track", "page"]),
            "userId": st.sampled_from([None, "u1", "u2", "u3"]),
            "traits": st.fixed_dictionaries(
                {
                    "email": st.sampled_from([None, "", "a@x.io", "A@X.IO ", "b@x.io", "c@initech.com"]),
                    "name": st.sampled_from([None, "", "Peter", "Paul"]),
                    "companyId": st.sampled_from([None, "ABCDE", "unknown"]),
                }
            ),
        }
    ),
    max_size=12,
)


def taken(store: Store, key: Key, event: dict[str, Any]) -> None:
    body = {**event, "event": "e"}
    inbound = Inbound(headers={}, event=body, message_id=None, url="", body=b"")
    answer = receiver.receive(store.rows("planhat"), key, inbound)
    assert (answer.status, answer.body) == (200, {})


@given(calls=CALLS)
def test_no_two_contacts_share_an_id_or_an_address_and_none_loses_a_field(calls: list[dict[str, Any]]):
    store = Store(Path(":memory:"), ManualClock())
    key = Key(id="demo", key="k", options=receiver.new_key({}))
    before: dict[str, dict[str, Any]] = {}
    company = {"externalId": "ABCDE", "sourceId": None, "name": "Initech"}
    with store.transaction():
        Tenant(store.rows("planhat"), key.id).add_company(company, ["initech.com"], shared=True)
        for call in calls:
            taken(store, key, call)
            contacts = [row for _, row in store.rows("planhat").all("contacts")]
            for keys in (
                [row["externalId"] for row in contacts if row["externalId"]],
                [email_key(row["email"]) for row in contacts if row["email"]],
            ):
                assert len(keys) == len(set(keys))
            after = {row["_id"]: row for row in contacts}
            for contact_id, row in before.items():
                lost = {name for name, value in row.items() if value and not after[contact_id][name]}
                assert not lost
                assert row["externalId"] in (None, after[contact_id]["externalId"])
            before = after
    store.close()
