"""A language model and its head, trained as one on votes (Prompt-to-Leaderboard; Frick et al., 2025).

    beta(p) = offset + W h(p)            h(p): the last hidden states of the prompt, pooled
    minimise  sum_b weight_b loss(outcome_b | beta_first(p_b), beta_second(p_b), tie(p_b)) / sum_b weight_b

with the losses of `losses.py`, by AdamW, on all weights or on low-rank changes of them (Hu et al., 2021). W and the
offset begin as the head that fits the untrained model's states best (linear probing, then fine-tuning; Kumar et al.,
2022): the training starts at what a frozen model gives, not below it.

A model that has seen a vote gives its prompt a state that knows the vote: a head that is fitted on such states trusts
them too far, and so does its ensemble. So the prompts are parted. The language model learns from some; from the
others, which it has not seen, the head that is kept learns (`train.py`). What the language model says of a prompt, W h,
is its vector, and the spread by folds says how far to trust that, nought included. Votes of the first part count for
the plain board alone. Everything behind the head, from boards to routers, is that of any head.

Not here: vectors that stay as they are, which train in seconds where this takes hours on a processor.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.learn import trainer as learning
from palaestra.learn.backbone import backbone_folder, libraries, load_tokenizer
from palaestra.learn.features import features
from palaestra.learn.trainer import Measure
from palaestra.p2l.backbone_steps import rows_of, trainer_of
from palaestra.p2l.config import TrainConfig, TuneConfig
from palaestra.p2l.fitting import Vectors, Weights, losses_of
from palaestra.p2l.head import Head, Projection
from palaestra.p2l.model import Kind
from palaestra.p2l.train import Tell, check_folds, kind_for, train_on
from palaestra.p2l.tuned import BACKBONE_FOLDER, PromptStates, Tuned
from palaestra.store.prompted_votes import PromptedVotes

Floats = NDArray[np.float64]

_OWN_FILE, _ABOUT_FILE = "head.npz", "about.json"


def train_backbone(
    votes: PromptedVotes,
    config: TrainConfig,
    tuning: TuneConfig,
    *,
    work: Path,
    kept: Path | None = None,
    cache: Path | None = None,
    measure: Measure = lambda **_values: None,
    tell: Tell = lambda _stage, _done, _all: None,
) -> Head:
    """Train a language model with a head, and then the head that is kept.

    Args:
        votes: with their prompts.
        config: of the head, before and after; its features are not used.
        tuning: of the language model; its mode is lora or full.
        work: checkpoints, and the trained language model; what an earlier, equal run left there is gone on from.
        kept: a folder where vectors stay.
        cache: where converted models are kept; the user's cache if left out.
        measure: is told the loss of each step.
        tell: is told the stage, how much of it is done, of how much.

    Raises:
        InputError: nothing can be learnt from these votes, there are too few prompts, or the loss was no number.
        MissingPartError: the extra `train` or the model's package is not installed.
    """
    config = config.model_copy(update={"kind": kind_for(votes, config.kind), "features": _named(tuning)})
    seen, aside = check_parts(votes, config, tuning)
    learning.check_installed(low_rank=tuning.mode == "lora")
    folder = work / BACKBONE_FOLDER
    if not (folder / _ABOUT_FILE).is_file():
        _tune(seen, aside, config, tuning, folder, kept=kept, cache=cache, measure=measure, tell=tell)
    own = Own.read(folder)
    tuned = Tuned.of(folder, tuning, json.loads((folder / _ABOUT_FILE).read_text(encoding="utf-8")))
    x_PD = features(PromptStates(tuned), aside.prompts, kept, lambda done, of: tell("vectors", done, of))
    loss = own.loss(aside, x_PD, config.kind)  # ty: ignore[invalid-argument-type] - not auto any more
    tuned = replace(tuned, about=tuned.about | {"own_log_loss": loss})
    head = train_on(aside, x_PD, config, projection=own.projection(x_PD, config.components), others=seen, tell=tell)
    return replace(head, tuned=tuned)


def check_parts(votes: PromptedVotes, config: TrainConfig, tuning: TuneConfig) -> tuple[PromptedVotes, PromptedVotes]:
    """The votes that the language model learns from, and those of the head.

    Raises:
        InputError: one of the two cannot be learnt from; said before hours are spent.
    """
    config = config.model_copy(update={"kind": kind_for(votes, config.kind)})
    aside_P = set_aside(votes, tuning.aside, config.seed)
    parts = only(votes, ~aside_P), only(votes, aside_P)
    for part, which in zip(parts, ("that the language model learns from", "that are set aside"), strict=True):
        try:
            kind_for(part, config.kind)
            check_folds(part, config)
        except InputError as error:
            raise InputError(f"on the prompts {which} (--aside {tuning.aside:g}): {error}") from error
    return parts


def set_aside(votes: PromptedVotes, share: float, seed: int) -> NDArray[np.bool_]:
    """Which prompts the language model does not see, shape (P,).

    A prompt's text decides, whatever other prompts there are; but each model that has votes has some of them here.
    """
    numbers_P = np.array([_number(text, seed) for text in votes.prompts])
    counted_B = votes.weight_B > 0
    met = np.zeros((len(votes.models), len(votes.prompts)), dtype=bool)
    for side_B in (votes.first_B, votes.second_B):
        met[side_B[counted_B], votes.prompt_B[counted_B]] = True
    aside_P = numbers_P < share
    for m in np.flatnonzero(met.any(axis=1) & ~met[:, aside_P].any(axis=1)):
        own_P = np.flatnonzero(met[m])
        aside_P[own_P[numbers_P[own_P].argmin()]] = True
    return aside_P


def only(votes: PromptedVotes, chosen_P: NDArray[np.bool_]) -> PromptedVotes:
    """The votes on some prompts, as if there had been no others; models and voters keep their numbers."""
    counted_P = np.zeros(len(votes.prompts), dtype=bool)
    counted_P[votes.prompt_B[votes.weight_B > 0]] = True
    kept_P = chosen_P & counted_P
    found = votes.take(kept_P[votes.prompt_B] & (votes.weight_B > 0))
    number_P = (np.cumsum(kept_P) - 1).astype(np.int32)
    texts = tuple(votes.prompts[p] for p in np.flatnonzero(kept_P))
    return replace(found, prompts=texts, prompt_B=number_P[found.prompt_B], category_P=())


class Own:
    """The head that is trained with the language model: offset_L + W_LD h, a number for each model, then that of ties.

    Args:
        offset_L: for M models, and one more for ties, which Bradley-Terry has not.
        w_LD: in the same order.
    """

    def __init__(self, offset_L: Floats, w_LD: Floats) -> None:
        self.offset_L, self.w_LD = offset_L, w_LD

    @classmethod
    def of(cls, head: Head) -> Own:
        """A head on principal components, as one on the vectors themselves."""
        weights, basis_DK = head.weights, head.projection.basis_DK
        w_LK, a_L = weights.w_MK, weights.a_M
        if head.kind != "bradley-terry":
            w_LK, a_L = np.vstack([w_LK, weights.tie_C[1:]]), np.append(a_L, weights.tie_C[0])
        w_LD = w_LK @ basis_DK.T
        return cls(a_L - w_LD @ head.projection.mean_D, w_LD)

    @classmethod
    def read(cls, folder: Path) -> Own:
        """That of a trained language model."""
        with np.load(folder / _OWN_FILE, allow_pickle=False) as arrays:
            return cls(arrays["offset_L"], arrays["w_LD"])

    def write(self, folder: Path) -> None:
        """Into the folder of the language model."""
        np.savez(folder / _OWN_FILE, offset_L=self.offset_L, w_LD=self.w_LD)

    def projection(self, x_PD: Vectors, components: int) -> Projection:
        """From states to what this head says of them, along its principal components."""
        inner = Projection.of((x_PD @ self.w_LD.T).astype(np.float32), components)
        return Projection(x_PD.mean(axis=0, dtype=np.float64), np.ascontiguousarray(self.w_LD.T @ inner.basis_DK))

    def loss(self, votes: PromptedVotes, x_PD: Vectors, kind: Kind) -> float:
        """The mean log loss of votes."""
        models = len(votes.models)
        ties_C = np.append(self.offset_L[models:], self.w_LD[models:]) if kind != "bradley-terry" else np.zeros(1)
        weights = Weights(self.offset_L[:models], self.w_LD[:models], ties_C)
        return float(np.average(losses_of(weights, x_PD, votes, kind), weights=votes.weight_B))


def _tune(
    seen: PromptedVotes,
    aside: PromptedVotes,
    config: TrainConfig,
    tuning: TuneConfig,
    folder: Path,
    *,
    kept: Path | None,
    cache: Path | None,
    measure: Measure,
    tell: Tell,
) -> None:
    """Train the language model, and write its folder, whole or not at all."""
    kind = kind_for(seen, config.kind)
    untrained = PromptStates(Tuned.of(backbone_folder(tuning.backbone, cache), tuning, {}))
    prompts = [*seen.prompts, *aside.prompts]
    x_PD = features(untrained, prompts, kept, lambda done, of: tell("vectors of the untrained model", done, of))
    split = len(seen.prompts)
    start = Own.of(train_on(seen, x_PD[:split], config.model_copy(update={"members": 0})))
    tokenizer = load_tokenizer(tuning.backbone, cache)
    learning.pad_with_another_token(tokenizer, tuning.backbone)
    backbone = backbone_folder(tuning.backbone, cache)
    trainer = trainer_of(
        rows_of(seen, tokenizer, tuning.max_tokens), kind, tuning, offset_L=start.offset_L, w_LD=start.w_LD,
        tokenizer=tokenizer, backbone=backbone, work=folder.parent, seed=config.seed,
    )  # fmt: skip
    steps, loss = learning.train(trainer, folder.parent, measure, lambda done, of: tell("steps", done, of))
    model = trainer.model.merge_and_unload() if tuning.mode == "lora" else trainer.model
    own = Own(start.offset_L, model.score.weight.detach().double().cpu().numpy())
    about = {
        **tuning.model_dump(mode="json", exclude={"save_every"}), "learning_rate": tuning.rate, "steps": steps,
        "loss": loss, "votes": float(seen.weight_B.sum()), "prompts": split,
        "aside_votes": float(aside.weight_B.sum()), "aside_prompts": len(aside.prompts),
        "frozen_log_loss": start.loss(aside, x_PD[split:], kind),
    }  # fmt: skip
    _write(folder, backbone, model, tokenizer, own, about)


def _write(  # noqa: PLR0917 - of one caller
    folder: Path,
    backbone: Path,
    model: Any,  # noqa: ANN401 - of transformers
    tokenizer: Any,  # noqa: ANN401 - of transformers
    own: Own,
    about: dict[str, Any],
) -> None:
    """The language model as a folder of Hugging Face; its words of the next token stay those of before."""
    torch, transformers = libraries()
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        whole = transformers.AutoModelForCausalLM.from_pretrained(backbone, dtype=torch.float32, local_files_only=True)
        whole.base_model.load_state_dict(model.base_model.state_dict())
        whole.save_pretrained(part, max_shard_size="100GB")
        tokenizer.save_pretrained(part)
        own.write(part)
        (part / _ABOUT_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        part.replace(folder)
    except OSError as error:
        raise InputError(f"cannot write the language model to {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _named(tuning: TuneConfig) -> str:
    return f"{tuning.backbone}, trained ({tuning.mode})"


def _number(text: str, seed: int) -> float:
    """A number from 0 to 1 for a text."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64
