"""The whole way of an event, seen at the vendors: `make demo`.

Starts Segue on free ports in a temporary folder, sends real traffic through the unmodified Segment SDK for Python,
waits until every number has settled, prints what each vendor's sandbox now holds, and fails if anything is missing.
Then it defines two audiences and a computed trait, shows them arriving as properties of users, moves the clock by a
month, and shows the audiences turning false.

Rule: everything that is checked is read back from the sandboxes, as a vendor would see it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from segment.analytics import Client

from segue.wiring.demo import demo_workspace

READY_WITHIN_S = 30.0
SETTLED_WITHIN_S = 60.0
PEOPLE = 20
WRITE_KEY = "demo-write-key"
VENDORS = ("plotline", "pointillist", "planhat", "user-com", "astrolabe")
A_MONTH = "offset:+31d"
RECENT, BIG, REVENUE = "order_completed_last_30days", "big_spenders", "lifetime_revenue"
COMPUTED = f"""
spaces:
  - slug: demo
    sources: [website]
    computed_traits:
      - name: Lifetime Revenue
        definition: "event('Order Completed').sum(property('revenue'))"
        destinations: [{", ".join(VENDORS)}]
    audiences:
      - name: Order completed last 30days
        definition: "event('Order Completed').within(30 days).count() >= 1"
        destinations: [{", ".join(VENDORS)}]
      - name: Big Spenders
        definition: "event('Order Completed').within(30 days).sum(property('revenue')) >= 100"
        destinations: [{", ".join(VENDORS)}]
"""

Properties = dict[str, dict[str, Any]]
"""What a vendor has of each user who came with a userId."""


class DemoError(Exception):
    """Something is not as it should be; the message says what."""


@contextmanager
def running_segue(folder: Path, *more: str, sandbox_port: str = "0", clock: str = "") -> Iterator[dict[str, str]]:
    """A running instance with the demo workspace; gives its addresses. `clock` is what `SEGUE_CLOCK` is to be."""
    command = [sys.executable, "-m", "segue.cli", "up", "--demo", "--data", str(folder), *more]
    with (folder.parent / "segue.log").open("a") as lines:
        server = subprocess.Popen(
            [*command, "--port", "0", "--sandbox-port", sandbox_port],
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
            env={**os.environ, "SEGUE_CLOCK": clock},
        )
        try:
            yield wait_until_ready(server, folder)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)


def wait_until_ready(server: subprocess.Popen[str], folder: Path) -> dict[str, str]:
    """The addresses that the instance publishes when it is ready."""
    assert server.stdout is not None
    give_up_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up_at:
        readable, _, _ = select.select([server.stdout], [], [], 0.5)
        if readable:
            line = server.stdout.readline()
            if "ready" in line:
                address: dict[str, str] = json.loads((folder / "address.json").read_text())
                return address
            if not line:
                break
    raise DemoError(f"Segue did not start: {(folder.parent / 'segue.log').read_text()[-2000:]}")


def send_traffic(url: str) -> list[str]:
    """People who come, sign up, look, buy and belong to companies, through Segment's own SDK; gives the messageIds."""
    failures: list[Exception] = []
    client = Client(WRITE_KEY, host=url, gzip=True, on_error=lambda error, _batch: failures.append(error))
    sent = []
    for number in range(PEOPLE):
        user, visitor, company = f"user-{number}", f"visitor-{number}", f"company-{number % 4}"
        traits = {
            "name": f"Ann {number}",
            "email": f"ann.{number}@initech.example",
            "title": "Engineer",
            "age": 30 + number,
        }
        order = {"revenue": 10.5 * number, "currency": "EUR", "items": number}
        sent += [
            client.track(anonymous_id=visitor, event="Product Viewed", properties={"sku": f"S-{number}"}),
            client.identify(user, traits, anonymous_id=visitor),
            client.page(user, "Docs", "Pricing", {"path": "/pricing", "url": "https://shop.example/pricing"}),
            client.group(user, company, {"name": f"Company {number % 4}", "industry": "Technology", "employees": 329}),
            client.track(user, "Order Completed", order, anonymous_id=visitor),
        ]
    client.shutdown()
    if failures:
        raise DemoError(f"the SDK reports: {failures[0]}")
    return [message[1]["messageId"] if isinstance(message, tuple) else message for message in sent]


def settled_status(folder: Path) -> dict[str, Any]:
    """The numbers once nothing is on its way any more."""
    give_up_at = time.monotonic() + SETTLED_WITHIN_S
    command = [sys.executable, "-m", "segue.cli", "status", "--json", "--data", str(folder)]
    while True:
        status: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
        check_balance(status)
        if all(entry["lag"] + entry["retrying"] == 0 for entry in status["destinations"]):
            return status
        if time.monotonic() > give_up_at:
            raise DemoError(f"deliveries did not settle: {status['destinations']}")
        time.sleep(0.2)


def check_balance(status: dict[str, Any]) -> None:
    """accepted = delivered + filtered + refused + retrying + lag, for each destination."""
    for entry in status["destinations"]:
        known = entry["delivered"] + sum(entry["filtered"].values()) + sum(entry["refused"].values())
        if entry["accepted"] != known + entry["retrying"] + entry["lag"]:
            raise DemoError(f"the numbers of {entry['slug']} do not add up: {entry}")


def expected() -> dict[str, dict[str, int]]:
    """What each vendor must hold of this traffic. Planhat keeps no event of a visitor whom it does not know."""
    return {
        "plotline": {"users": 2 * PEOPLE, "events": 2 * PEOPLE},
        "pointillist": {"events": 3 * PEOPLE},
        "planhat": {"contacts": PEOPLE, "activities": 2 * PEOPLE},
        "user-com": {"users": 2 * PEOPLE, "companies": 4, "event_occurrences": 2 * PEOPLE, "page_views": PEOPLE},
        "astrolabe": {"users": 2 * PEOPLE, "accounts": 4, "events": 2 * PEOPLE},
    }


def show(vendor: str, state: dict[str, list[dict[str, Any]]], wanted: dict[str, int]) -> list[str]:
    """Print one vendor's table; gives what is missing."""
    missing = []
    print(f"\n{vendor}")
    for name, rows in state.items():
        if not rows and name not in wanted:
            continue
        right = name not in wanted or len(rows) == wanted[name]
        if not right:
            missing.append(f"{vendor} holds {len(rows)} {name}, not {wanted[name]}")
        mark = " " if right else "!"
        print(f" {mark} {name:<18}{len(rows):>5}   {sample(rows[-1]) if rows else ''}")
    return missing


def sample(row: dict[str, Any]) -> str:
    """The most telling fields of a row, on one line."""
    dull = {"messageIds", "messageId", "key_id", "string_values", "__v"}
    telling = {
        name: value for name, value in row.items() if name not in dull and value not in (None, "", [], {}, 0, False)
    }
    return json.dumps(telling, ensure_ascii=False)[:120]


def apply_computed(folder: Path, file: Path, address: dict[str, str]) -> None:
    """`segue apply` of the demo workspace with a space, two audiences and a computed trait, written to `file`."""
    file.write_text(demo_workspace(address["sandbox_url"]) + COMPUTED)
    done = subprocess.run(
        [sys.executable, "-m", "segue.cli", "apply", str(file), "--data", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DemoError(f"the workspace cannot be applied: {done.stderr}")


def properties_at(vendor: str, address: dict[str, str]) -> Properties:
    """What a vendor has of each user. Pointillist keeps events: there it is the newest of each label and number."""
    state = requests.get(f"{address['sandbox_url']}/{vendor}/_sandbox/state", timeout=10).json()
    if vendor == "pointillist":
        newest: Properties = {}
        for row in state["events"]:
            if row["eventType"] == "identify":
                newest.setdefault(row["actor"], {}).update(row["labels"] | row["numbers"])
        return newest
    if vendor == "user-com":
        return {row["custom_id"]: row for row in state["users"] if row["custom_id"]}
    table, name, where = {
        "plotline": ("users", "distinct_id", "attributes"),
        "planhat": ("contacts", "externalId", "custom"),
        "astrolabe": ("users", "external_id", "properties"),
    }[vendor]
    return {row[name]: row[where] for row in state[table] if row[name]}


def as_expected(inside: bool) -> dict[str, dict[str, str]]:
    """Who is to have which of the properties, as text, which is what some vendors keep of a value."""
    value = str(inside).lower()
    return {
        RECENT: {f"user-{number}": value for number in range(PEOPLE)},
        BIG: {f"user-{number}": value for number in range(PEOPLE) if 10.5 * number >= 100},
        REVENUE: {f"user-{number}": f"{10.5 * number:g}" for number in range(PEOPLE)},
    }


def as_found(properties: Properties) -> dict[str, dict[str, str]]:
    """The same, as a vendor has it."""
    return {
        key: {user: plain(having[key]) for user, having in properties.items() if key in having}
        for key in (RECENT, BIG, REVENUE)
    }


def plain(value: Any) -> str:
    """A property's value as text, the same for all vendors."""
    if isinstance(value, bool | str) and str(value).lower() in ("true", "false"):
        return str(value).lower()
    return f"{float(value):g}"


def counts(values: dict[str, str]) -> str:
    """How many users have each value: `true: 20 users`."""
    return ", ".join(f"{value}: {count} users" for value, count in Counter(values.values()).items()) or "-"


def show_computed(address: dict[str, str], *, inside: bool) -> list[str]:
    """Wait until each vendor has what it is to have of the audiences and the trait, print it; gives what is missing."""
    wanted = as_expected(inside)
    missing = []
    give_up_at = time.monotonic() + SETTLED_WITHIN_S
    print(f"{'':<15}{RECENT:<30}{BIG:<18}{REVENUE}")
    for vendor in VENDORS:
        while (found := as_found(properties_at(vendor, address))) != wanted and time.monotonic() < give_up_at:
            time.sleep(0.1)
        last = f"user-{PEOPLE - 1}"
        cells = [counts(found[key]) for key in (RECENT, BIG)]
        print(f"  {vendor:<13}{cells[0]:<30}{cells[1]:<18}{found[REVENUE].get(last, '-')} of {last}")
        missing += [f"{key} at {vendor}" for key in wanted if found[key] != wanted[key]]
    return missing


def check_events(folder: Path, address: dict[str, str]) -> list[str]:
    """Send the traffic and print what arrives; gives what is missing."""
    print(f"Segue runs at {address['url']}; its sandboxes at {address['sandbox_url']}")
    sent = send_traffic(address["url"])
    status = settled_status(folder)
    accepted = status["sources"][0]["accepted"]
    print(f"{len(sent)} events sent by the Segment SDK, {accepted} accepted")
    missing = [] if accepted == len(sent) else [f"{len(sent) - accepted} events were not accepted"]
    for vendor, wanted in expected().items():
        state = requests.get(f"{address['sandbox_url']}/{vendor}/_sandbox/state", timeout=10).json()
        missing += show(vendor, state, wanted)
    return missing


def check_all(folder: Path) -> list[str]:
    """The whole demo; gives what is missing."""
    file = folder.parent / "workspace.yaml"
    with running_segue(folder) as address:
        missing = check_events(folder, address)
        print("\nTwo audiences and a computed trait, sent to each vendor as properties of users:")
        apply_computed(folder, file, address)
        missing += show_computed(address, inside=True)
    print(f"\n31 days later (SEGUE_CLOCK={A_MONTH}) nobody has ordered again:")
    sandbox_port = address["sandbox_url"].rpartition(":")[2]  # the destinations know its address
    with running_segue(folder, "--workspace", str(file), sandbox_port=sandbox_port, clock=A_MONTH) as address:
        missing += show_computed(address, inside=False)
        settled_status(folder)
    return missing


def main() -> int:
    """Run the demo; gives the exit code."""
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="segue-demo-") as temporary:
        folder = Path(temporary) / "instance"
        folder.mkdir()
        try:
            missing = check_all(folder)
        except DemoError as failed:
            print(f"\nThe demo failed: {failed}", file=sys.stderr)
            return 1
    for line in missing:
        print(f"missing: {line}", file=sys.stderr)
    print("\n" + ("Something is missing." if missing else "Everything arrived, and the numbers add up."))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
