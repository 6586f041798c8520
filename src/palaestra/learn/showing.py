"""What a model says while it is trained: the same few prompts, answered every so many steps, for eyes.

The likeliest tokens are taken, and no chance is used: a training that is watched ends in the same weights.

Not here: scores on held-out prompts, where they are written (`RunFolder.sample`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from palaestra.learn.backbone import libraries, prompt_tokens
from palaestra.learn.generation import Sampling, end_tokens, sample
from palaestra.schema import Message

Record = Callable[..., None]
"""Is told `step`, `domain`, `prompt`, `reply`, `tokens`, `ended` of each, by name."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt that is answered again and again."""

    prompt: tuple[Message, ...]
    domain: str | None = None
    reference: str | None = None


def show(
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    shown: Sequence[Shown],
    step: int,
    record: Record,
    *,
    max_tokens: int = 128,
) -> None:
    """Answer each prompt as the model would now, and record it.

    Args:
        model: a causal language model; in whatever mode it is, it is so afterwards.
        tokenizer: the model's.
        shown: the prompts.
        step: of the training.
        record: `RunFolder.sample`.
        max_tokens: of a reply.
    """
    if not shown:
        return
    prompts = [prompt_tokens(tokenizer, one.prompt) for one in shown]
    found = sample(model, prompts, Sampling(max_tokens, temperature=0.0), ends=end_tokens(model, tokenizer))
    for one, said in zip(shown, found, strict=True):
        kept = {"domain": one.domain, "reference": one.reference}
        record(
            step=step,
            **{name: value for name, value in kept.items() if value is not None},
            prompt=one.prompt[-1].text,
            reply=tokenizer.decode(said.tokens, skip_special_tokens=True),
            tokens=len(said.tokens),
            ended=said.ended,
        )


def showing(tokenizer: Any, shown: Sequence[Shown], every: int, record: Record, *, max_tokens: int = 128) -> Any:  # noqa: ANN401
    """A callback for transformers' Trainer that shows the model at the start, every so many steps, and at the end.

    Args:
        tokenizer: the model's.
        shown: the prompts.
        every: steps.
        record: `RunFolder.sample`.
        max_tokens: of a reply.
    """
    _, transformers = libraries()

    class Showing(transformers.TrainerCallback):
        """Shows."""

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if state.global_step == 0:
                show(model, tokenizer, shown, 0, record, max_tokens=max_tokens)

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if state.global_step % every == 0 or state.global_step == state.max_steps:
                show(model, tokenizer, shown, state.global_step, record, max_tokens=max_tokens)

    return Showing()
