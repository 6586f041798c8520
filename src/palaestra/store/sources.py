"""What votes, prompts and preferences are read from: a file, or an arena's database by its URL."""

from __future__ import annotations

from pathlib import Path

_DATABASES = ("sqlite:", "postgresql:", "postgresql+", "postgres:")


def is_database(source: str | Path) -> bool:
    """Whether this is the URL of a database."""
    return str(source).startswith(_DATABASES)
