"""The Trainer of transformers, taught to distil on-policy from many teachers.

Its data set is the numbers of its own steps: what a step learns from is sampled when its block begins
(`rollouts.py`). So accelerate, torchrun, LoRA, 16 bits, accumulation, checkpoints and resumption are the
Trainer's own. With one teacher, one domain and blocks of one step the loss and its gradient are those of TRL's
DistillationTrainer.

A checkpoint holds the state of the schedule beside the Trainer's; checkpoints fall on the ends of blocks, so that a run
that goes on begins a block anew, and gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palaestra.errors import InputError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import libraries
from palaestra.posttrain.divergences import Divergence, balanced, divergence, log_rest, sampled_loss, with_rest
from palaestra.posttrain.rollouts import Block, Judged, Rollouts
from palaestra.posttrain.schedule import Headroom, Schedule
from palaestra.posttrain.teachers import log_probabilities

STATE_FILE = "schedule.json"

Evaluate = Callable[[Any], Mapping[str, float]]
"""The score of a model on held-out prompts, by domain."""
Note = Callable[..., None]
"""Is told what was measured, by name."""


class Aim:
    """What is minimised.

    Args:
        kind: the divergence.
        beta: of Jensen-Shannon.
        average: `domain`: each domain's mean over its own tokens; `tokens`: the mean over all tokens.
        most: the largest importance weight of the sampled form.
    """

    def __init__(self, kind: Divergence, beta: float, average: str, most: float) -> None:
        self.kind: Divergence = kind
        self.beta, self.average, self.most = beta, average, most

    def loss(self, log_NV: Any, rows: list[Judged]) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
        """The loss at each position (N,), and the divergence there for the record.

        Raises:
            InputError: teachers of one part tell now all tokens, now some, or tokens that the student has not.
        """
        torch, _ = libraries()
        device = log_NV.device
        told = [one.token_TK is not None for one in rows]
        if any(told) != all(told):
            raise InputError(
                "found teachers that tell all tokens beside some that tell a few, expected one kind; give top"
            )
        if not any(told):
            teacher_NV = torch.cat([one.logprob_TK for one in rows]).to(device)
            if self.kind == "sampled":
                own_N, theirs_N = (
                    each.gather(1, _sampled(rows, device)[:, None])[:, 0] for each in (log_NV, teacher_NV)
                )
                return self._by_sample(rows, own_N, theirs_N, own_N)
            loss_N = divergence(log_NV, teacher_NV, self.kind, self.beta)
            return loss_N, loss_N.detach()
        token_NK, teacher_NK = _told(rows, device)
        if int(token_NK.max()) >= log_NV.shape[1]:
            raise InputError(
                f"found token {int(token_NK.max())} in what a teacher told, expected one of the student's "
                f"{log_NV.shape[1]}: they have different vocabularies"
            )
        student_NK = with_rest(log_NV, token_NK)
        if self.kind == "sampled":
            token_N = _sampled(rows, device)
            hit_NK = torch.nn.functional.pad(token_NK == token_N[:, None], (0, 1))
            hit_NK[:, -1] = ~hit_NK.any(dim=1)  # not told: the rest stands for it, on both sides
            coarse_N, theirs_N = (each[hit_NK] for each in (student_NK, teacher_NK))
            return self._by_sample(rows, log_NV.gather(1, token_N[:, None])[:, 0], theirs_N, coarse_N)
        loss_N = divergence(student_NK, teacher_NK, self.kind, self.beta)
        return loss_N, loss_N.detach()

    def _by_sample(self, rows: list[Judged], own_N: Any, theirs_N: Any, held_N: Any) -> tuple[Any, Any]:  # noqa: ANN401
        torch, _ = libraries()
        behaviour_N = torch.cat([one.behaviour_T for one in rows]).to(own_N.device)
        return sampled_loss(own_N, theirs_N, behaviour_N, self.most, held_N), (held_N - theirs_N).detach()


def _sampled(rows: list[Judged], device: Any) -> Any:  # noqa: ANN401 - tensors
    """The tokens of all completions, (N,)."""
    torch, _ = libraries()
    return torch.tensor([token for one in rows for token in one.row.tokens[one.row.start :]], device=device)


def _told(rows: list[Judged], device: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
    """Which tokens were told (N, K), -1 where a teacher told fewer; log-probabilities with the rest (N, K + 1)."""
    torch, _ = libraries()
    most = max(one.token_TK.shape[1] for one in rows)
    pad = torch.nn.functional.pad
    tokens = [pad(one.token_TK, (0, most - one.token_TK.shape[1]), value=-1) for one in rows]
    logs = [pad(one.logprob_TK, (0, most - one.logprob_TK.shape[1]), value=-torch.inf) for one in rows]
    rest = [log_rest(one.logprob_TK) if one.rest_T is None else one.rest_T for one in rows]
    return torch.cat(tokens).to(device), torch.cat([torch.cat(logs), torch.cat(rest)[:, None]], dim=1).to(device)


class Teaching:
    """What a step learns from, and what is noted of it.

    Args:
        rollouts: what samples and asks.
        schedule: which prompts.
        aim: what is minimised.
        block: steps that are sampled together.
        check_every: steps between looks at held-out prompts.
        evaluate: how held-out prompts are scored.
        headroom: what is left to gain, which those looks tell.
        adapt: whether weights follow it; the run stops once all domains have converged.
        note: is told what each step and look measured.
    """

    def __init__(
        self,
        rollouts: Rollouts,
        schedule: Schedule,
        aim: Aim,
        *,
        block: int,
        check_every: int | None = None,
        evaluate: Evaluate | None = None,
        headroom: Headroom | None = None,
        adapt: bool = False,
        note: Note = lambda **_values: None,
    ) -> None:
        self.rollouts, self.schedule, self.aim, self.block = rollouts, schedule, aim, block
        self.check_every, self.evaluate, self.headroom, self.adapt = check_every, evaluate, headroom, adapt
        self.note = note
        self._made: Block | None = None
        self._sums_D: Any = None
        self.tokens = 0
        """That the student learnt from, also before a kill."""

    def loss(self, trainer: Any, model: Any, item: int) -> Any:  # noqa: ANN401 - of transformers
        """The loss of one part of a step; the block that it belongs to is made when its first part comes."""
        torch, _ = libraries()
        args = trainer.args
        step, part = divmod(item // args.world_size, args.gradient_accumulation_steps)
        if self._made is None or not self._made.first <= step < self._made.first + len(self._made.parts):
            self._made = None  # before the next is made
            self._made = self._begin(trainer, model, step)
        at = step - self._made.first
        rows = self._made.parts[at][part]
        tokens_D, rows_D = self._made.tokens_SD[at].to(args.device), self._made.rows_SD[at].to(args.device)
        domain_N = torch.tensor([one.domain for one in rows for _ in range(one.row.length)], device=args.device)
        loss_N, apart_N = self.aim.loss(log_probabilities(model, [one.row for one in rows]), rows)
        share_D = rows_D / rows_D.sum() if self.aim.average == "domain" else tokens_D / tokens_D.sum()
        loss = balanced(loss_N, domain_N, share_D, tokens_D)
        if not torch.isfinite(loss):
            raise learning.diverged("loss", trainer.state.global_step, str(args.output_dir))
        self._remember(trainer, apart_N, domain_N, tokens_D, last=part == args.gradient_accumulation_steps - 1)
        return loss * args.world_size  # gradients are averaged over processes

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON."""
        held = self.headroom and self.headroom.state()
        return {"schedule": self.schedule.state(), "headroom": held, "tokens": self.tokens}

    def _begin(self, trainer: Any, model: Any, step: int) -> Block:  # noqa: ANN401 - of transformers
        args, student = trainer.args, trainer.accelerator.unwrap_model(model)
        if self.check_every and self.evaluate is not None and step and step % self.check_every == 0:
            self._look(trainer, student, step)
        return self.rollouts.block(
            student, step, [self.schedule.step() for _ in range(min(self.block, args.max_steps - step))],
            args.gradient_accumulation_steps, place=(args.process_index, args.world_size),
            total=lambda tensor: trainer.accelerator.reduce(tensor.to(args.device), "sum").cpu(),
        )  # fmt: skip

    def _look(self, trainer: Any, student: Any, step: int) -> None:  # noqa: ANN401 - of transformers
        scores = dict(self.evaluate(student)) if self.evaluate is not None else {}
        said = {f"held_out/{name}": score for name, score in scores.items()}
        if self.headroom is not None:
            weights = self.headroom.measured(scores)
            said |= {f"kept/{name}": share for name, share in self.headroom.kept(scores).items()}
            if self.adapt:
                self.schedule.reweigh({name: weights.get(name, 1.0) for name in self.schedule.names})
                said |= {f"weight/{name}": weight for name, weight in self.schedule.weights.items()}
                trainer.control.should_training_stop = self.headroom.converged >= set(self.schedule.names)
        if trainer.is_world_process_zero():
            self.note(step=step, held_out=sum(scores.values()) / max(len(scores), 1), **said)

    def _remember(self, trainer: Any, apart_N: Any, domain_N: Any, tokens_D: Any, *, last: bool) -> None:  # noqa: ANN401
        torch, _ = libraries()
        sums_D = torch.zeros_like(tokens_D).index_add_(0, domain_N, apart_N.to(tokens_D.dtype))
        self._sums_D = sums_D if self._sums_D is None else self._sums_D + sums_D
        if not last:
            return
        apart_D = trainer.accelerator.reduce(self._sums_D, "sum") / tokens_D.clamp(min=1)
        self._sums_D = None
        self.tokens += int(tokens_D.sum())
        if trainer.is_world_process_zero():
            each = zip(self.schedule.names, apart_D.tolist(), tokens_D.tolist(), strict=True)
            said = {f"divergence/{name}": apart for name, apart, count in each if count}
            self.note(step=trainer.state.global_step + 1, tokens=float(tokens_D.sum()), **said)


def distillation_trainer(model: Any, args: Any, teaching: Teaching) -> Any:  # noqa: ANN401 - of transformers
    """A Trainer that distils.

    Args:
        model: the student.
        args: with `max_steps`, a batch of one, and `gradient_accumulation_steps` as the parts of a step.
        teaching: what each step learns from.
    """
    torch, transformers = libraries()
    numbers = range(args.max_steps * args.gradient_accumulation_steps * args.world_size)

    class DistillationTrainer(transformers.Trainer):
        """Learns from what `teaching` makes of each step's number."""

        loss_is_scaled_for_ga = True

        def _get_train_sampler(self, *_: Any, **_more: Any) -> Any:  # noqa: ANN401
            return torch.utils.data.SequentialSampler(numbers)

        def compute_loss(self, model: Any, inputs: Any, *_: Any, **_more: Any) -> Any:  # noqa: ANN401
            return teaching.loss(self, model, int(inputs["item"]))

    class Keeping(transformers.TrainerCallback):
        """Writes the schedule's state into every checkpoint."""

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / STATE_FILE).write_text(json.dumps(teaching.state()), encoding="utf-8")

    with learning.quiet():
        return DistillationTrainer(
            model=model,
            args=args,
            train_dataset=numbers,
            data_collator=lambda batch: {"item": torch.tensor(batch[0])},
            callbacks=[Keeping()],
        )


def restore(checkpoint: str | None, teaching: Teaching) -> None:
    """Bring what is taught to where a checkpoint left it.

    Raises:
        InputError: its state cannot be read.
    """
    if checkpoint is None:
        return
    try:
        held = json.loads((Path(checkpoint) / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {STATE_FILE} in {checkpoint}: {error}; train with --overwrite") from error
    teaching.schedule.restore(held["schedule"])
    teaching.tokens = held["tokens"]
    if teaching.headroom is not None and held["headroom"]:
        teaching.headroom.restore(held["headroom"])
