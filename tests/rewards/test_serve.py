"""A reward as an endpoint: what it answers, and what it refuses in the protocol's shape."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from fastapi.testclient import TestClient

from palaestra.rewards.rules import rule
from palaestra.rewards.serve import MOST_REPLIES, app_for
from palaestra.schema import Message

HEAD = {"Authorization": "Bearer k"}


def client() -> TestClient:
    return TestClient(app_for(rule("rule:length"), "length", key="k"), headers=HEAD)


def test_replies_and_talks_get_rewards_in_their_order() -> None:
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a b c"}]
    body = {"model": "length", "input": [{"prompt": "hi", "replies": ["a", "a b"]}, {"messages": talk}]}
    answer = client().post("/v1/rewards", json=body)
    assert answer.status_code == 200
    assert [item["rewards"] for item in answer.json()["data"]] == [[1, 2], [3]]
    assert client().get("/v1/models").json()["data"][0]["id"] == "length"


def test_what_is_wrong_is_said_in_the_shape_of_the_protocol() -> None:
    asked = {"prompt": "hi", "replies": ["a"]}
    cases = [
        ({"model": "other", "input": [asked]}, 404, "model_not_found"),
        ({"model": "length", "input": []}, 400, "invalid_request_error"),
        ({"model": "length", "input": [{"prompt": "hi"}]}, 400, "invalid_request_error"),
        (
            {"model": "length", "input": [{"messages": [{"role": "user", "content": "hi"}]}]},
            400,
            "invalid_request_error",
        ),
        (
            {"model": "length", "input": [{"prompt": "hi", "replies": ["a"] * (MOST_REPLIES + 1)}]},
            413,
            "request_too_large",
        ),
    ]
    for body, status, code in cases:
        answer = client().post("/v1/rewards", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert client().get("/v1/models", headers={"Authorization": "no"}).status_code == 401


class Broken:
    """A reward that fails, or gives what is no number."""

    name = "broken"

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> np.ndarray:  # noqa: ARG002
        if self.error is not None:
            raise self.error
        return np.full(len(replies), np.nan)


@pytest.mark.parametrize(("error", "said"), [(RuntimeError("out of memory"), "RuntimeError"), (None, "no number")])
def test_a_reward_that_fails_says_so_in_the_shape_of_the_protocol(error: Exception | None, said: str) -> None:
    asking = TestClient(app_for(Broken(error), "broken"), raise_server_exceptions=False)
    answer = asking.post("/v1/rewards", json={"model": "broken", "input": [{"prompt": "hi", "replies": ["a"]}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_error")
    assert said in answer.json()["error"]["message"]


def test_half_of_an_emoji_is_scored_as_in_a_file() -> None:
    body = json.dumps({"model": "length", "input": [{"prompt": "hi", "replies": ["a \ud83d"]}]})
    answer = client().post("/v1/rewards", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["data"][0]["rewards"] == rule("rule:length").score([], ["a \ufffd"]).tolist()
