"""Rewards of the rewards room as what post-training takes: plain callables with a name and a weight."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palaestra import console

if TYPE_CHECKING:
    from palaestra.posttrain.examples import Example
    from palaestra.posttrain.rollout_scores import Paid


def paid(text: str, examples: Sequence[Example], models: Path) -> Paid:
    """A reward by its name, as `reward score` takes it; the end `:0.5` is its weight.

    Raises:
        InputError: there is no such reward, or a verifier without any reference.
        MissingPartError: what it needs is not installed.
    """
    from palaestra.gateway import load_models
    from palaestra.posttrain.rollout_scores import Paid
    from palaestra.rewards.model import load_reward
    from palaestra.rewards.rules import Verifier
    from palaestra.rewards.vectors import asked

    name, weight = weighed(text)
    specs = load_models(models) if models.is_file() else ()
    references = {asked(one.prompt): one.reference for one in examples if one.reference is not None}
    loaded = load_reward(name, specs=specs, references=references)

    def score(prompts: Any, replies: Any, known: Any, _domains: Any, /) -> Any:  # noqa: ANN401 - a reward's
        if isinstance(loaded, Verifier):
            return loaded.against(prompts, replies, known)
        return loaded.score(prompts, replies)

    if name == "rule:code":
        from palaestra.rewards.sandbox import isolation

        shut = "a namespace without a network" if isolation() == "namespaces" else "Python's hook alone"
        console.warn(
            f"rule:code runs what the model writes, as this user, behind limits and {shut}: it can read your files; "
            "take a container or a virtual machine where that matters (palaestra.rewards.sandbox says what is not "
            "protected)"
        )
    return Paid(name, score, weight)


def weighed(text: str) -> tuple[str, float]:
    """The name and the weight: `rule:exact:0.5` is rule:exact with 0.5; a pattern that ends so needs a weight."""
    name, colon, end = text.rpartition(":")
    try:
        return (name, float(end)) if colon and name not in {"rule", "rule:regex"} else (text, 1.0)
    except ValueError:
        return text, 1.0
