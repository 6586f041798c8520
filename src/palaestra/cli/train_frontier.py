"""`palaestra train frontier`: accuracy against tokens of several models on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget, Seed
from palaestra.cli.stage_bars import StageBars
from palaestra.errors import InputError

if TYPE_CHECKING:
    from palaestra.learn.generation import Sampling
    from palaestra.posttrain.answering import Answered
    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.frontier import Frontier
    from palaestra.posttrain.rollout_scores import RewardFunction


def frontier(
    named: list[str],
    *,
    data: Annotated[str, Parameter(name="--examples")],
    reward: str,
    max_tokens: int = 128,
    temperature: float = 0.0,
    samples: int = 1,
    confidence: float = 0.95,
    models: Path = Path("models.toml"),
    seed: Seed = 0,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """Answer the same prompts by several models: accuracy against tokens, with intervals; the first is held against.

    Parameters
    ----------
    named
        Models: folders of Hugging Face or of runs, gguf:smollm2, or files of answers; perhaps NAME=MODEL.
    data
        Prompts with references; not those that were trained on.
    reward
        What is right, as rule:exact: above 0.5.
    max_tokens
        Of a reply.
    temperature
        0 takes the likeliest token.
    samples
        Replies to each prompt.
    confidence
        Of intervals.
    models
        The models.toml, for features of an endpoint.
    """
    from palaestra.cli.paid_rewards import paid
    from palaestra.learn.generation import Sampling
    from palaestra.posttrain.answering import read_answers
    from palaestra.posttrain.examples import read_examples
    from palaestra.posttrain.frontier import frontier as measured
    from palaestra.posttrain.frontier_page import write_run_page
    from palaestra.rewards.score import check_confidence

    check_confidence(confidence)
    if html is not None:
        from palaestra.pictures.page import checked_path

        checked_path(html)
    asked = read_examples(data).examples
    right = paid(reward, asked, models).score
    how = Sampling(max_tokens=max_tokens, temperature=temperature)
    answered = {}
    with StageBars() as bars:
        for place, text in enumerate(named):
            name, path = _name_of(text)
            if name in answered:
                raise InputError(f"found two models called {name!r}, expected names that differ: NAME=MODEL")
            answered[name] = (
                read_answers(Path(path)) if path.endswith(".jsonl")
                else answers_of(path, asked, right, how, samples=samples, seed=seed)
            )  # fmt: skip
            bars("models", place + 1, len(named))
    found = measured(answered, confidence=confidence, seed=seed)
    if html is not None:
        write_run_page(html, "Accuracy against tokens", found)
    console.give({"schema": "palaestra.frontier/1", **found.model_dump(mode="json")}, json, frontier_table(found))


def answers_of(
    name: str, examples: Sequence[Example], right: RewardFunction, how: Sampling, *, samples: int = 1, seed: int = 0
) -> tuple[Answered, ...]:
    """What a model answers: gguf:smollm2, a folder of Hugging Face, or the folder of a run with one in `model`.

    Raises:
        InputError: there is no such model.
        MissingPartError: the extra `train` is not installed.
    """
    from palaestra.learn.backbone import load_backbone
    from palaestra.posttrain.answering import answers

    path = Path(name)
    loaded = load_backbone(str(path / "model") if (path / "model" / "config.json").is_file() else name)
    return answers(loaded.model, loaded.tokenizer, examples, right, how, samples=samples, seed=seed)


def frontier_table(found: Frontier) -> Table:
    """The frontier as a table."""
    from palaestra.posttrain.frontier_page import HEADS, cells, headline

    table = Table(*HEADS, caption=headline(found))
    for point in found.points:
        table.add_row(*cells(point))
    return table


def _name_of(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    return (name, path) if sign else (Path(text).name, text)
