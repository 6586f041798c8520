"""A model as the arena knows it, what a call of it cost, and how a call failed.

The same fields are one `[[model]]` table of models.toml. A key never stands here: `api_key_env` names the variable.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palaestra.schema.record import Record, Struct

Capability = Literal["chat", "image", "document", "search", "tools"]

ErrorKind = Literal[
    "unreachable",  # nothing answers at the endpoint
    "timeout",  # no first token, or no next one, in time
    "rate_limited",  # 429 after all retries
    "server_error",  # 5xx after all retries
    "refused",  # another 4xx: bad key, unknown model, context too long
    "interrupted",  # the stream broke off in the middle of the answer
    "empty",  # the stream ended without a word
    "cancelled",  # we stopped: a person pressed stop, or the browser left
]

CHARACTERS_PER_TOKEN = 4.0
"""What is supposed where nobody has counted tokens: about right for English, too few tokens for most others."""


class ModelSpec(Record):
    """A contestant: where it answers, how it is asked, what it costs."""

    record_name = "model"

    name: str = Field(min_length=1, max_length=200)
    """The name on the leaderboard."""
    endpoint: str = Field(min_length=1)
    """`local:NAME`, `local:/path/to/a/folder` of a trained model, `scripted:NAME`, or an OpenAI-compatible base URL."""
    api_name: str | None = None
    """The model's name at the endpoint, where it differs."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    organization: str | None = None
    license: str | None = None
    input_price: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Price of a million input tokens."""
    output_price: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Price of a million output tokens."""
    capabilities: tuple[Capability, ...] = ("chat",)
    system: str | None = None
    """A system prompt sent before every conversation."""
    template: str | None = None
    """A Jinja template over `messages` for a base model, sent to /completions instead of /chat/completions."""
    stop: tuple[str, ...] = ()
    """Strings at which the answer ends."""
    temperature: float | None = Field(default=None, ge=0.0)
    max_tokens: int | None = Field(default=None, ge=1)


class Usage(Struct):
    """What one call used. Counts are the endpoint's own, None where it reports none; cost is None without them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None


class ErrorRecord(Struct):
    """How a call failed. `detail` is for the operator and is never shown to a voter."""

    kind: ErrorKind
    detail: str
    status: int | None = None
