"""The whole exception tree on one screen.

    PalaestraError                       exit code 1
    ├── InputError          (ValueError) exit code 2: bad usage or bad input
    │   ├── VoteFileError                a vote file, with row and column
    │   ├── ModelsFileError              a models.toml
    │   └── DatabaseError                a database that cannot be opened, written or migrated
    ├── BookError                        the book of replies cannot be read or written: a full disk
    ├── MissingPartError    (ImportError, RuntimeError) exit code 3: an extra, a server, a key
    ├── LedgerError                      the ledger refuses; the arena answers with the leaf's `status`
    │   ├── NotFoundError   (LookupError) no such battle, or not yours (404: which of the two is nobody's business)
    │   └── ConflictError                voted already, unfinished, still answering (409)
    └── ModelError                       a model did not answer; carries an ErrorRecord

A message says what was found, what was expected, and what to do. The command line prints it without a traceback and
exits with the leaf's `exit_code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from palaestra.schema.model import ErrorRecord


class PalaestraError(Exception):
    """Root of everything that Palaestra raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(PalaestraError, ValueError):
    """What was given cannot be used: a file, a flag, a value."""

    exit_code = 2


class VoteFileError(InputError):
    """A vote file that does not hold what the vote format says; names file, row and column."""


class ModelsFileError(InputError):
    """A models.toml with an unknown field, a key in it, a duplicate name or a missing field."""


class DatabaseError(InputError):
    """A database that cannot be opened, written or migrated."""


class BookError(PalaestraError):
    """The book of replies that were paid for cannot be read or written."""


class MissingPartError(PalaestraError, ImportError, RuntimeError):
    """A needed part is missing: an extra, a program, a key. The message holds the command that helps."""

    exit_code = 3


class LedgerError(PalaestraError):
    """The ledger refuses an operation. `status` is the HTTP status that a server answers with."""

    status: ClassVar[int] = 400


class NotFoundError(LedgerError, LookupError):
    """No such record, or it belongs to somebody else."""

    status = 404


class ConflictError(LedgerError):
    """The record's state does not allow this: voted already, unfinished, still answering."""

    status = 409


class ModelError(PalaestraError):
    """A model did not answer. `record` says how it failed; its detail is for the operator, not for a voter."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(f"{record.kind}: {record.detail}")
        self.record = record
