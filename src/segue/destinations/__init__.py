"""The catalog: every kind of destination, found by looking, not by a list.

Rule: a new kind is one module of this package that holds a `destination`; nothing else has to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from segue.core.destination import Destination


@cache
def catalog() -> dict[str, Destination]:
    """Every kind by its slug, sorted by name."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    kinds = (module.destination for module in modules if hasattr(module, "destination"))
    return {kind.slug: kind for kind in sorted(kinds, key=lambda kind: kind.name.lower())}
