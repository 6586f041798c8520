"""Flags that mean the same wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

JsonTarget = Annotated[
    str | None,
    Parameter(
        name="--json",
        allow_leading_hyphen=True,
        help="Write the result as JSON to this path, or to standard output for -.",
    ),
]

HtmlTarget = Annotated[
    Path | None,
    Parameter(name="--html", help="Write a page that stands alone to this path."),
]
