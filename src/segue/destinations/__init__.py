"""The catalog: every kind of destination, found by looking, not by a list.

Rule: a new kind is one module of this package that holds a `destination`; nothing else has to know of it.
A module whose name begins with `_` is a part that several kinds share, not a kind.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from segue.core.destination import Destination


@cache
def catalog() -> dict[str, Destination]:
    """Every kind by its slug, sorted by name."""
    names = (found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    kinds = (module.destination for module in modules if hasattr(module, "destination"))
    return {kind.slug: kind for kind in sorted(kinds, key=lambda kind: kind.name.lower())}
