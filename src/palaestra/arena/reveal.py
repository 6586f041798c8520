"""Who was who: what the browser is told after a vote has been stored, and never before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palaestra.schema import Leaderboard, ModelRating, ModelSpec
from palaestra.store.entries import Answer, BattleState


def reveal(
    battle: BattleState, specs: Mapping[str, ModelSpec], before: Leaderboard | None, after: Leaderboard
) -> dict[str, Any]:
    """Both models of a voted battle, with their ratings before and after the vote.

    Args:
        battle: with its vote.
        specs: the contestants by name; a model that has left the arena has none.
        before: the board before the vote, None when the battle is looked at again later.
        after: the current board.

    Raises:
        ValueError: the battle has no vote. Names must not leave the server then.
    """
    if battle.choice is None:
        raise ValueError(f"battle {battle.id} has no vote")
    last = battle.turns[-1]
    sides = {
        side: _side(answer, specs.get(answer.model), before, after) for side, answer in (("a", last.a), ("b", last.b))
    }
    return {"choice": battle.choice, **sides}


def _side(answer: Answer, spec: ModelSpec | None, before: Leaderboard | None, after: Leaderboard) -> dict[str, Any]:
    tokens = answer.usage.output_tokens if answer.usage else None
    writing = answer.total_s - answer.first_token_s if answer.total_s and answer.first_token_s is not None else None
    return {
        "model": answer.model,
        "organization": spec.organization if spec else None,
        "license": spec.license if spec else None,
        "rating": _rating(after, answer.model),
        "before": _rating(before, answer.model) if before else None,
        "first_token_s": answer.first_token_s,
        "output_tokens": tokens,
        "tokens_per_s": tokens / writing if tokens and writing else None,
        "cost": answer.usage.cost if answer.usage else None,
    }


def _rating(board: Leaderboard, model: str) -> dict[str, Any] | None:
    line: ModelRating | None = next((line for line in board.models if line.model == model), None)
    shown = {"rating", "lower", "upper", "rank", "votes", "preliminary"}
    return line.model_dump(include=shown) if line else None
