"""Palaestra: where language models compete and train.

People compare models blindly in an arena; the votes become leaderboards that can be trusted. This module is the public
face: it holds the version and the rooms that a researcher types from memory (`palaestra.rank`), loaded when first used,
so that `import palaestra` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palaestra import ranking as rank

__version__ = "0.1.0"
__all__ = ["__version__", "rank"]

_ROOMS = {"rank": "palaestra.ranking"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type of a module attribute is whatever the module is
    """Import a room when it is first named (PEP 562)."""
    if name in _ROOMS:
        return import_module(_ROOMS[name])
    raise AttributeError(f"module 'palaestra' has no attribute {name!r}; it has {', '.join(__all__)}")
