"""`palaestra reward score`: rewards of the replies in a file."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget, Overwrite, Resume, SkipBad, again
from palaestra.cli.stage_bars import StageBars
from palaestra.rewards.score import ScoreFormat

if TYPE_CHECKING:
    from palaestra.rewards.score import Agreement


def score(
    reward: str,
    file: str,
    *,
    out: Path,
    prompts: Path | None = None,
    write: ScoreFormat = "parquet",
    models: Path = Path("models.toml"),
    confidence: float = 0.95,
    skip_bad: SkipBad = 0,
    resume: Resume = False,
    overwrite: Overwrite = False,
    json: JsonTarget = None,
) -> None:
    """Score replies. Where a file says which replies are better, say how often they have the higher reward.

    Parameters
    ----------
    reward
        A folder that `reward train` wrote, rule:length, rule:exact, perplexity:gguf:smollm2, scores:FILE ...
    file
        Preferences, answers (question_id, model, text, with --prompts), or a table with prompt and reply.
    out
        The run's folder; scores are in `scores.parquet` there.
    prompts
        The questions to which answers refer.
    write
        The format of the scores.
    models
        The models.toml, for features of an endpoint.
    confidence
        Of intervals.
    """
    from palaestra.gateway import load_models
    from palaestra.rewards.model import load_reward
    from palaestra.rewards.score import agreement, check_confidence, read_replies, score_replies, write_scores
    from palaestra.rewards.seen import seen_line
    from palaestra.store.runs import RunFolder

    whether = again(resume=resume, overwrite=overwrite)
    check_confidence(confidence)
    replies = read_replies(file, prompts, skip_bad)
    specs = load_models(models) if models.is_file() else ()
    loaded = load_reward(reward, specs=specs, references=replies.references)
    config = {"reward": reward, "file": file, "prompts": None if prompts is None else str(prompts), "write": write}
    named = Path(reward.removeprefix("scores:").removeprefix("perplexity:"))
    model = named / "model" if (named / "model").is_dir() else named
    inputs = [path for path in (model, Path(file), *([prompts] if prompts else [])) if path.exists()]
    folder = RunFolder(out, "reward score", config, inputs=inputs, again=whether)
    with folder.running():
        with StageBars() as bars:
            reward_N, spread_N = score_replies(
                loaded, replies, folder.path / "chunks", lambda done, of: bars("replies", done, of)
            )
        write_scores(folder.path / f"scores.{write}", replies, reward_N, spread_N)
        found = agreement(replies, reward_N, confidence)
        metrics = {"replies": float(len(reward_N)), **({} if found is None else {"accuracy": found.accuracy.value})}
        seen = None if found is None else seen_line(loaded, loaded.name, replies.prompt_N)
        folder.finish(metrics, [], _card(loaded.name, file, found, seen))
        shutil.rmtree(folder.path / "chunks")
    for line in replies.skipped:
        console.warn(f"left out: {line}")
    if seen is not None:
        console.warn(seen)
    said: dict[str, Any] = {"schema": "palaestra.reward-scores/1", "folder": str(out), "replies": len(reward_N)}
    if found is not None:
        parts = [part.model_dump() for part in found.parts]
        said |= {**asdict(found), "accuracy": found.accuracy.model_dump(), "parts": parts}
    console.give(said, json, _table(loaded.name, len(reward_N), found))
    console.note(f"Scores are in {folder.path / f'scores.{write}'}")


def _table(name: str, replies: int, found: Agreement | None) -> Table:
    table = Table(name, "")
    table.add_row("replies scored", f"{replies:,}")
    if found is not None:
        table.add_row(f"accuracy on {found.pairs:,} pairs", found.accuracy.words())
        for part in found.parts:
            table.add_row(f"{part.kind} {part.name}, {part.accuracy.rows:,} pairs", part.accuracy.words())
        if found.level_pairs:
            table.add_row("level pairs, left out", f"{found.level_pairs:,}")
    return table


def _card(name: str, file: str, found: Agreement | None, seen: str | None) -> str:
    lines = [f"# Rewards by {name}", "", f"- file: {file}"]
    if found is not None:
        lines.append(f"- accuracy on {found.pairs} pairs: {found.accuracy.words()}")
        lines += [f"- {part.kind} {part.name}: {part.accuracy.words()}" for part in found.parts]
    lines += [f"- {seen}"] if seen is not None else []
    return "\n".join(lines) + "\n"
