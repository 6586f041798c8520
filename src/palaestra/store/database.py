"""Opening a database: SQLite embedded by default, PostgreSQL by URL; migrations; durability.

Durability. A vote that was acknowledged must survive `kill -9` and loss of power.
- SQLite runs in WAL mode, so readers never wait for the writer. In WAL, `synchronous=NORMAL` does not sync the log at
  commit and may lose the last votes with the power, so we set FULL: one fsync a commit, some milliseconds at worst,
  and a vote takes a person minutes. Writes take `BEGIN IMMEDIATE`, so that a transaction never fails half-way for a
  lock that it could have waited for at the start.
- PostgreSQL syncs at commit unless it is told otherwise, so each connection sets `synchronous_commit=on` whatever the
  server's default is.

Not here: what is written (`ledger.py`) and the tables (`metadata.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from palaestra.errors import DatabaseError, MissingPartError

_BUSY_MS = 10_000
_MIGRATIONS = Path(__file__).parent / "migrations"
_EXPECTED = "expected sqlite:///FILE or postgresql://USER@HOST/NAME"


def open_engine(url: str, *, create: bool = False) -> sa.Engine:
    """An engine with our durability settings.

    Args:
        url: `sqlite:///FILE` or `postgresql://...` (the driver is psycopg 3 unless the URL names one).
        create: whether a SQLite file that does not exist may be created.

    Raises:
        DatabaseError: the URL is malformed, of another kind, or names a file that is not there.
        MissingPartError: the PostgreSQL driver is not installed.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, create=create)
    try:
        engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=20)
    except ImportError as error:
        raise MissingPartError("PostgreSQL needs its driver: pip install 'palaestra[postgres]'") from error
    event.listen(engine, "connect", _set_postgresql_durability)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema, creating it where there is none.

    Raises:
        DatabaseError: the database cannot be reached or written, or was made by a newer Palaestra.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        with engine.connect().execution_options(write=True) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except CommandError as error:
        raise DatabaseError(
            f"database {engine.url} has a schema that this version does not know ({error}); "
            "upgrade palaestra, or give another database"
        ) from error
    except DBAPIError as error:
        raise explained(error, engine.url) from error


def explained(error: DBAPIError, url: sa.URL) -> DatabaseError:
    """A driver's error as ours: what was tried, what the driver said, what to do."""
    said = " ".join(str(error.orig).split())
    return DatabaseError(
        f"cannot use database {url}: {said}; give a database that exists, can be reached and written, with --database"
    )


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise DatabaseError(f"cannot read {url!r} as a database URL; {_EXPECTED}") from error
    if backend == "sqlite":
        return parsed
    if backend in {"postgresql", "postgres"}:
        return (
            parsed.set(drivername="postgresql+psycopg") if parsed.drivername in {"postgresql", "postgres"} else parsed
        )
    raise DatabaseError(f"found a database of kind {backend!r} in {parsed}; {_EXPECTED}")


def _open_sqlite(url: sa.URL, *, create: bool) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise DatabaseError(f"found {url}, a database in memory, which would lose every vote; expected sqlite:///FILE")
    path = Path(url.database)
    if not create and not path.is_file():
        raise DatabaseError(f"no database at {path}; `palaestra arena serve` makes one")
    if create and not path.parent.is_dir():
        raise DatabaseError(
            f"cannot create a database at {path}: the folder {path.parent} does not exist; create it first"
        )
    engine = sa.create_engine(url, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _set_sqlite_durability)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_sqlite_durability(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver's guesses
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_postgresql_durability(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
    connection.commit()
