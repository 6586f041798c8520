"""`palaestra bench export`: a benchmark in the files of the tools that people run already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from palaestra import console
from palaestra.store.exports import ExportKind


def export(
    prompts: str,
    *,
    to: Annotated[ExportKind, Parameter(name="--to")],
    out: Annotated[Path, Parameter(name="--out")],
    name: str | None = None,
) -> None:
    """Write a benchmark for lm-evaluation-harness, inspect_ai, Arena-Hard, MT-Bench or AlpacaEval.

    Parameters
    ----------
    prompts
        A set of prompts, a file of questions, a folder of texts, or the URL of an arena's database.
    to
        Whose files.
    out
        A folder, which must not exist.
    name
        The task's name; if left out, the name of the folder.
    """
    from palaestra.store.exports import export_prompts
    from palaestra.store.prompts import read_prompts

    written = export_prompts(read_prompts(prompts), to, out, name=name)
    for lost in written.lost:
        console.warn(lost)
    console.out.print(
        f"{written.prompts} prompts are in {out}: {', '.join(path.name for path in written.files)}", soft_wrap=True
    )
    if written.command:
        console.note(written.command)
