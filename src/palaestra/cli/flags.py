"""Flags that mean the same wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from palaestra.errors import InputError

if TYPE_CHECKING:
    from palaestra.store.runs import Again

JsonTarget = Annotated[
    str | None,
    Parameter(
        name="--json",
        allow_leading_hyphen=True,
        help="Write the result as JSON to this path, or to standard output for -.",
    ),
]

Flag = Parameter(negative=())
"""A flag that is given or not, without a --no- of its own."""


def again(*, resume: bool, overwrite: bool) -> Again:
    """What --resume and --overwrite say of an earlier run.

    Raises:
        InputError: both are given.
    """
    if resume and overwrite:
        raise InputError("found --resume and --overwrite, expected one of them")
    return "resume" if resume else "overwrite" if overwrite else "ask"


HtmlTarget = Annotated[
    Path | None,
    Parameter(name="--html", help="Write a page that stands alone to this path."),
]
