"""The ring closes: a tiny trained model is enrolled, and fights a scripted one in the arena."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from arena_client import Voter
from tiny_llama import make_tiny_llama

from conftest import Server
from palaestra.gateway.enrol import checkpoint_spec, enrol
from palaestra.schema import ModelSpec

pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_a_trained_folder_fights_in_the_arena(serve: Callable[..., Server], tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    enrol(ModelSpec(name="Script", endpoint="scripted:markdown?words=20"), models)
    trained = make_tiny_llama(tmp_path / "run" / "model")
    enrol(checkpoint_spec(trained, "Trained", temperature=0.0, max_tokens=12), models)
    server = serve(models)

    async def battles() -> None:
        voters = [Voter(server.url) for _ in range(5)]
        for voter in voters:
            await voter.http.get("/")
        begun = [await voter.begin("hello") for voter in voters]
        seen = await asyncio.gather(*(voter.watch(one["turn"]) for voter, one in zip(voters, begun, strict=True)))
        said = set()
        for voter, one, turn in zip(voters, begun, seen, strict=True):
            assert turn.state == "done"
            reveal = (await voter.vote(one["turn"], "a")).raise_for_status().json()["reveal"]
            names = {side: reveal[side]["model"] for side in ("a", "b")}
            assert set(names.values()) == {"Script", "Trained"}
            said.add(turn.html(next(side for side, name in names.items() if name == "Trained")))
            await voter.http.aclose()
        assert len(said) == 1, "at temperature 0 it says the same in every battle, alone or in a batch"

    asyncio.run(battles())
