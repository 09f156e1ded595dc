"""The audiences and computed traits that `bench.traffic` is computed for.

Rule: ten audiences and five traits, and each event of the traffic touches two or three of the fifteen.
"""

from __future__ import annotations

from segue.state.computations import ComputationRow

AUDIENCES = (
    "event('Page Viewed').within(7 days).count() >= 5",
    "event('Page Viewed').count() >= 20 AND NOT (event('Page Viewed').within(3 days).count() >= 3)",
    "event('Product Viewed').within(1 day).count() >= 3",
    "event('Product Viewed').where(property('category') = 'shoes').within(30 days).count() >= 2",
    "event('Product Added').within(2 hours).count() >= 1",
    "event('Product Added').within(14 days).sum(property('price')) >= 500",
    "event('Order Completed').where(property('revenue') >= 100).within(30 days).count() >= 1",
    "event('Order Completed').within(90 days).sum(property('revenue')) >= 200",
    "event('Signed Up').within(30 days).count() >= 1",
    "event('Signed Up').where(property('plan') = 'pro').count() >= 1",
)
TRAITS = (
    "event('Page Viewed').count()",
    "event('Product Viewed').mode(property('category'))",
    "event('Product Added').last(property('name'))",
    "event('Order Completed').sum(property('revenue'))",
    "event('Signed Up').first(property('plan'))",
)


def rows(created_at: int, further: int = 0) -> list[ComputationRow]:
    """All of them, and so many audiences of events that never come."""
    never = [f"event('Never {number}').within({1 + number % 60} days).count() >= 1" for number in range(further)]
    found: list[ComputationRow] = []
    for kind, texts in (("audience", AUDIENCES), ("computed_trait", TRAITS), ("audience", never)):
        for text in texts:
            number = len(found) + 1
            row = ComputationRow(
                id=number,
                space=1,
                kind="audience" if kind == "audience" else "computed_trait",
                key=f"key_{number}",
                name=f"Key {number}",
                definition=text,
                created_at=created_at,
            )
            found.append(row)
    return found
