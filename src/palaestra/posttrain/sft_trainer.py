"""TRL's SFTTrainer, told which examples each step learns from, and its loss on held-out ones.

Its data set is the numbers of its own steps: the mixture says which examples belong to a step, they are dealt to the
processes and parts of it, and packed there. Packing and parts change how fast a step is and how much memory it takes,
not what it learns: the loss is the sum over the step's learnt tokens, divided by their number over all parts and
processes. Loss, 16 bits, LoRA, checkpoints, torchrun and FSDP are TRL's, transformers' and accelerate's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from palaestra.errors import MissingPartError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import batches_by_length, libraries
from palaestra.posttrain.packing import batch, dealt
from palaestra.posttrain.tokens import Tokens
from palaestra.stats.clustered import Estimate, jackknife


class Steps:
    """What each step learns from.

    Args:
        rows: examples as tokens.
        order: which of them, draw by draw.
        size: examples of a step.
        parts: into how many passes a process cuts its share.
        world: processes.
        room: of a packed row, in tokens; 0 packs nothing.
        padding: a token that fills up.
        flat: whether all of a pass is one row, as flash attention reads it.
    """

    def __init__(
        self,
        rows: Sequence[Tokens],
        order: Sequence[int],
        size: int,
        *,
        parts: int = 1,
        world: int = 1,
        room: int = 0,
        padding: int = 0,
        flat: bool = False,
    ) -> None:
        self._rows, self._order, self._size = rows, order, size
        self._per_step, self._room, self._padding, self._flat = parts * world, room, padding, flat
        self.count = -(-len(order) // size)

    @property
    def items(self) -> int:
        """Passes of all steps and processes."""
        return self.count * self._per_step

    def examples(self, step: int) -> list[Tokens]:
        """The examples of a step."""
        return [self._rows[place] for place in self._order[step * self._size : (step + 1) * self._size]]

    def __call__(self, item: int) -> dict[str, Any]:
        """The tensors of one pass."""
        step, part = divmod(item, self._per_step)
        rows = self.examples(step)
        own = [rows[number] for number in dealt([len(row.tokens) for row in rows], self._per_step)[part]]
        if not own:  # fewer examples than passes: one that nothing is learnt from
            own = [replace(rows[0], learnt=(False,) * len(rows[0].tokens))]
        return batch(own, self._room, self._padding, flat=self._flat)


@dataclass(frozen=True, slots=True)
class Watch:
    """Held-out examples, and who wants to know of them."""

    rows: Sequence[Tokens]
    every: int
    note: Callable[..., None]
    """Is told `step` and `held_out_loss/DOMAIN`."""


def sft_trainer(model: Any, tokenizer: Any, args: Any, steps: Steps, watch: Watch, *, peft: Any = None) -> Any:  # noqa: ANN401 - of transformers
    """TRL's trainer.

    Args:
        model: a causal language model.
        tokenizer: the model's.
        args: `trl.SFTConfig` with a batch of one item, and `gradient_accumulation_steps` as the parts of a step.
        steps: what each learns from.
        watch: held-out examples.
        peft: the config of low-rank changes, if only those are trained.

    Raises:
        MissingPartError: the extra `train` is not installed.
    """
    torch, transformers = libraries()
    try:
        import datasets
        import trl
    except ImportError as error:
        raise MissingPartError(f"fine-tuning needs {error.name}: pip install 'palaestra[train]'") from error

    class SftTrainer(trl.SFTTrainer):
        """Learns from what `steps` makes of each number."""

        def _get_train_sampler(self, *_: Any, **_more: Any) -> Any:  # noqa: ANN401
            return torch.utils.data.SequentialSampler(range(steps.items))

        def create_model_card(self, *_: object, **_more: object) -> None:
            """A checkpoint needs none."""

        def compute_loss(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
            loss = super().compute_loss(model, inputs, *rest, **more)
            if not torch.isfinite(loss):
                raise learning.diverged("loss", self.state.global_step, str(self.args.output_dir))
            return loss

    class Watching(transformers.TrainerCallback):
        """Looks at held-out examples."""

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if watch.rows and state.global_step % watch.every == 0 and state.global_step < state.max_steps:
                found = domain_losses(model, watch.rows, tokenizer.pad_token_id)
                if state.is_world_process_zero:
                    each = {f"held_out_loss/{name}": one.value for name, one in found.items()}
                    watch.note(step=state.global_step, **each)

    with learning.quiet():
        return SftTrainer(
            model=model,
            args=args,
            train_dataset=datasets.Dataset.from_dict({"item": list(range(steps.items))}),
            data_collator=lambda items: steps(items[0]["item"]),
            processing_class=tokenizer,
            callbacks=[Watching()],
            peft_config=peft,
        )


def domain_losses(
    model: Any,  # noqa: ANN401 - of transformers
    rows: Sequence[Tokens],
    padding: int,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """The loss for each learnt token, by domain, with an interval over examples.

    Args:
        model: a causal language model.
        rows: examples as tokens.
        padding: a token that fills up.
        confidence: of the intervals.
    """
    loss_N = example_losses(model, rows, padding)
    found = {}
    for name in sorted({row.domain for row in rows}):
        places = [number for number, row in enumerate(rows) if row.domain == name]
        sums_NK = np.array([[loss_N[number], rows[number].count] for number in places])
        found[name] = jackknife(sums_NK, lambda sums: sums[:, 0] / sums[:, 1], len(places), confidence)
    return found


def example_losses(model: Any, rows: Sequence[Tokens], padding: int) -> np.ndarray:  # noqa: ANN401 - of transformers
    """The sum of minus log-probabilities over each example's learnt tokens, shape (N,)."""
    torch, _ = libraries()
    found_N = np.zeros(len(rows))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for numbers in batches_by_length([len(row.tokens) for row in rows]):
                made = batch([rows[number] for number in numbers], 0, padding)
                labels_NT = made.pop("labels").to(model.device)[:, 1:]
                inputs = {name: tensor.to(model.device) for name, tensor in made.items()}
                logits_NTV = model(**inputs, use_cache=False).logits[:, :-1].float()
                loss_NT = torch.nn.functional.cross_entropy(
                    logits_NTV.transpose(1, 2), labels_NT, reduction="none"
                )  # noughts where the label is masked
                found_N[numbers] = loss_NT.sum(dim=1).cpu().double().numpy()
    finally:
        model.train(was_training)
    return found_N
