"""A teacher behind an OpenAI-compatible endpoint that tells log-probabilities of a prompt's own tokens, as vLLM does.

A row is sent as token numbers to `/v1/completions` with `prompt_logprobs = k`; the answer has, at each position, the k
likeliest tokens and the one that stands there. Everything else is the rest (`divergences.py`). Endpoints that do not
know `prompt_logprobs` answer without it, and are refused in words. Rows go out side by side, and are asked again where
the endpoint is busy, as the client of OpenAI does.

Not here: endpoints that only write texts: let them write completions (`palaestra train data`) and learn those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from palaestra.errors import InputError, MissingPartError
from palaestra.learn.backbone import libraries
from palaestra.posttrain.teachers import Row, Told

_ROUNDING = 1e-6
"""A log-probability may be this far above 0."""


class Endpoint:
    """A teacher that is asked over HTTP.

    Args:
        url: of the endpoint, up to and with `/v1`.
        model: the name that it knows the model by.
        key: of the endpoint, if it wants one.
        top: the k likeliest tokens are asked for.
        together: rows that are asked for side by side.
        retries: how often a row is asked again where the endpoint is busy or away.

    Raises:
        MissingPartError: the extra `gateway` is not installed.
    """

    def __init__(
        self, url: str, model: str, *, key: str | None = None, top: int = 20, together: int = 16, retries: int = 4
    ) -> None:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise MissingPartError(
                f"teachers at endpoints need {error.name}: pip install 'palaestra[gateway]'"
            ) from error
        self._client = OpenAI(base_url=url, api_key=key or "none", max_retries=retries)
        self._url, self._model, self._top, self._together = url, model, top, together

    def __call__(self, rows: Sequence[Row]) -> Told:
        """What follows each prefix of the completions, told by k + 1 tokens at most.

        Raises:
            InputError: the endpoint cannot be reached, refuses, or tells no log-probabilities of prompts.
        """
        torch, _ = libraries()
        with ThreadPoolExecutor(self._together) as pool:
            told = [position for row in pool.map(self._row, rows) for position in row]
        token_NK = torch.full((len(told), self._top + 1), -1, dtype=torch.long)
        log_NK = torch.full((len(told), self._top + 1), -torch.inf)
        for place, position in enumerate(told):
            pairs = sorted(position.items(), key=lambda pair: -pair[1])[: self._top + 1]
            token_NK[place, : len(pairs)] = torch.tensor([token for token, _ in pairs])
            log_NK[place, : len(pairs)] = torch.tensor([logprob for _, logprob in pairs])
        return Told(log_NK, token_NK)

    def _row(self, row: Row) -> list[dict[int, float]]:
        from openai import OpenAIError

        try:
            answer = self._client.completions.create(
                model=self._model, prompt=row.tokens, max_tokens=1, temperature=0.0,
                extra_body={"prompt_logprobs": self._top},
            )  # fmt: skip
        except OpenAIError as error:
            raise InputError(f"the teacher {self._model} at {self._url}: {error}") from error
        said: Any = getattr(answer.choices[0], "prompt_logprobs", None) if answer.choices else None
        if not said or len(said) != len(row.tokens):
            raise InputError(
                f"the teacher {self._model} at {self._url} told {len(said or ())} log-probabilities of a prompt of "
                f"{len(row.tokens)} tokens, expected as many; serve it with vLLM, which knows prompt_logprobs"
            )
        return [_position(position, self._model) for position in said[row.start :]]


def _position(said: Mapping[str, Any] | None, model: str) -> dict[int, float]:
    try:
        found = {int(token): float(value["logprob"]) for token, value in (said or {}).items()}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"the teacher {model} told {said!r:.80}, expected token numbers with a logprob") from error
    if not found or any(not logprob <= _ROUNDING for logprob in found.values()):
        raise InputError(f"the teacher {model} told {said!r:.80}, expected log-probabilities of at most 0")
    return found


class Mixed:
    """Teachers of several kinds by name.

    Args:
        kinds: mappings from names to teachers; a name is looked up in the first that has it.
    """

    def __init__(self, kinds: Mapping[str, Any]) -> None:
        self._teachers = kinds

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a Teacher
        """The teacher of this name.

        Raises:
            InputError: there is none.
        """
        if name not in self._teachers:
            raise InputError(f"found no teacher {name!r}, expected one of {', '.join(self._teachers)}")
        found = self._teachers[name]
        return found[name] if hasattr(found, "__getitem__") else found
