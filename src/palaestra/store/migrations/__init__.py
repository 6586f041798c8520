"""Alembic migrations of the ledger. A released migration is never edited; a change is a new file in `versions/`."""
