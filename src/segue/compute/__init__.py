"""Computed traits and audiences: the language of their definitions, and what a definition is true of.

Rule: a definition's value is a function of the events, traits and links known at one position of the log, and of the
instant asked about; nothing else enters.
"""

from __future__ import annotations

from segue.compute.answers import Answers, Computation
from segue.compute.cautions import cautions
from segue.compute.checks import Kind, check
from segue.compute.comparators import comparator, holds, some_related
from segue.compute.evaluate import is_member, value
from segue.compute.history import ABSENT, UNDEFINED, Absence, History, Occurrence, Others
from segue.compute.keys import check_key, key_of
from segue.compute.mistakes import Mistake, Mistaken
from segue.compute.parse import parse
from segue.compute.paths import entries
from segue.compute.printing import print_definition
from segue.compute.references import in_order, references
from segue.compute.timers import next_change
from segue.compute.tracing import Traced, trace
from segue.compute.tree import Definition, from_json, to_json
from segue.compute.windows import Reach

__all__ = [
    "ABSENT",
    "UNDEFINED",
    "Absence",
    "Answers",
    "Computation",
    "Definition",
    "History",
    "Kind",
    "Mistake",
    "Mistaken",
    "Occurrence",
    "Others",
    "Reach",
    "Traced",
    "cautions",
    "check",
    "check_key",
    "comparator",
    "entries",
    "from_json",
    "holds",
    "in_order",
    "is_member",
    "key_of",
    "next_change",
    "parse",
    "print_definition",
    "references",
    "some_related",
    "to_json",
    "trace",
    "value",
]
