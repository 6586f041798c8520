"""What trainings of language models share: the settings of transformers' Trainer, checkpoints that are whole, LoRA.

A training that was killed goes on from the newest checkpoint that was written to its end. A loss or a gradient that is
no number ends it with a message, before it reaches the weights. Nothing is printed: whoever wants to know is told.

Not here: what is minimised (`rewards/backbone_train.py`, `p2l/backbone.py`).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from palaestra.errors import InputError, MissingPartError
from palaestra.learn.backbone import Dtype, libraries, resolved_dtype

WHOLE = "whole"
"""A checkpoint has a file of this name once all else of it is there."""

Measure = Callable[..., None]
"""Is told `step`, `loss` and `learning_rate` of each step, by name."""
Tell = Callable[[int, int], None]
"""Is told how many steps are done, of how many."""


def arguments(
    kind: Any,  # noqa: ANN401 - TrainingArguments, or a class made of it
    work: Path,
    *,
    batch: int,
    epochs: int,
    steps: int | None,
    learning_rate: float,
    save_every: int,
    seed: int,
    dtype: Dtype = "auto",
    **more: object,
) -> Any:  # noqa: ANN401 - as above
    """Settings of a Trainer: a rate that falls in a straight line, 16 bits where the machine multiplies them.

    Args:
        kind: `transformers.TrainingArguments`, or a class made of it.
        work: where checkpoints lie.
        batch: rows of one step.
        epochs: how often each row is seen.
        steps: in place of epochs.
        learning_rate: at the start.
        save_every: steps between checkpoints; the newest two are kept.
        seed: of the order of rows.
        dtype: what is computed in; `auto` is 16 bits where the machine multiplies them.
        **more: settings of this kind alone.
    """
    with quiet():
        made = kind(
            output_dir=str(work),
            per_device_train_batch_size=batch,
            num_train_epochs=epochs,
            max_steps=steps or -1,
            learning_rate=learning_rate,
            lr_scheduler_type="linear",
            logging_steps=1,
            save_strategy="steps",
            save_steps=save_every,
            save_total_limit=2,
            bf16=resolved_dtype(dtype) == "bfloat16",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            **more,
        )
    if made.n_gpu > 1:
        made._n_gpu = 1  # noqa: SLF001 - more GPUs are more processes (torchrun), never threads that share a batch
    return made


def train(trainer: Any, work: Path, measure: Measure, tell: Tell) -> tuple[int, float]:  # noqa: ANN401 - of transformers
    """Train from the newest whole checkpoint, or from the start; how many steps there were, and their mean loss.

    Raises:
        InputError: the loss or a gradient was no number.
    """
    _, transformers = libraries()
    trainer.remove_callback(transformers.PrinterCallback)  # standard output is the command's
    trainer.add_callback(_watching(measure, tell)())
    with quiet():
        steps = trainer.train(resume_from_checkpoint=newest_whole(work)).global_step
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]  # also those before a kill
    return int(steps), sum(losses) / len(losses)


@contextmanager
def quiet() -> Generator[None]:
    """Transformers says nothing below an error in this block: of a new head, or of its own names that will change."""
    _, transformers = libraries()
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        transformers.logging.set_verbosity(before)


def newest_whole(work: Path) -> str | None:
    """The newest checkpoint that was written to its end; those that were not are thrown away."""
    found = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in found:
        if not (path / WHOLE).is_file():
            shutil.rmtree(path, ignore_errors=True)  # another process of the training may be at it too
    whole = [path for path in found if path.is_dir()]
    return str(whole[-1]) if whole else None


def diverged(what: str, step: int, work: str) -> InputError:
    """What to say of a loss or a gradient that is no number."""
    kept = newest_whole(Path(work))
    rest = f"the last good checkpoint is {kept}" if kept else "no checkpoint was made yet"
    return InputError(
        f"found a {what} that is no number after step {step}, expected a finite one; {rest}; train with a lower "
        "learning rate"
    )


def classifier(tokenizer: Any, folder: Path, labels: int) -> Any:  # noqa: ANN401 - of transformers
    """The language model of a folder, with `labels` numbers read off its last token in place of the next token.

    Args:
        tokenizer: the model's, which `pad_with_another_token` has seen.
        folder: of Hugging Face.
        labels: how many numbers.
    """
    torch, transformers = libraries()
    with quiet():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=labels, dtype=torch.float32, local_files_only=True
        )
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def lora(rank: int) -> Any:  # noqa: ANN401 - of peft
    """Low-rank changes of all linear layers of a `classifier`, whose own layer is trained whole (Hu et al., 2021).

    Raises:
        MissingPartError: peft is not installed.
    """
    check_installed(low_rank=True)
    from peft import LoraConfig

    return LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules="all-linear", modules_to_save=["score"]
    )


def with_lora(model: Any, rank: int) -> Any:  # noqa: ANN401 - of transformers and peft
    """A `classifier` of which only low-rank changes are trained.

    Raises:
        MissingPartError: peft is not installed.
    """
    changes = lora(rank)
    from peft import get_peft_model

    with quiet():
        return get_peft_model(model, changes)


def pad_with_another_token(tokenizer: Any, backbone: str) -> None:  # noqa: ANN401 - of transformers
    """Classifiers look for the last token that is not padding: if that ends turns too, they would miss the end.

    Raises:
        InputError: the tokenizer has no token that could pad.
    """
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.pad_token = tokenizer.unk_token
    if tokenizer.pad_token_id in {None, tokenizer.eos_token_id}:
        raise InputError(
            f"found no token in the tokenizer of {backbone} that could pad, expected a pad_token or unk_token other "
            "than eos_token; set one in its tokenizer_config.json"
        )


def check_installed(*, low_rank: bool) -> None:
    """Whether all that a training needs is there, before anything else is done.

    Raises:
        MissingPartError: it is not.
    """
    libraries()
    for name in ("accelerate", *(["peft"] if low_rank else [])):
        try:
            import_module(name)
        except ImportError as error:
            raise MissingPartError(f"training a backbone needs {name}: pip install 'palaestra[train]'") from error


def wait_for_all() -> None:
    """Until every process of a training is here, as accelerate or torchrun started them.

    Raises:
        MissingPartError: the extra `train` is not installed.
    """
    check_installed(low_rank=False)
    import_module("accelerate").PartialState().wait_for_everyone()


def _watching(measure: Measure, tell: Tell) -> Any:  # noqa: ANN401 - a class of transformers
    torch, transformers = libraries()

    class Watching(transformers.TrainerCallback):
        """Tells how it goes, stops at a gradient that is no number, and marks checkpoints that are whole."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            tell(state.global_step, state.max_steps)
            if logs and "loss" in logs:
                measure(step=state.global_step, loss=float(logs["loss"]), learning_rate=logs["learning_rate"])

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            gradients = (each.grad for each in model.parameters() if each.grad is not None)
            if not all(torch.isfinite(gradient).all() for gradient in gradients):
                raise diverged("gradient", state.global_step, args.output_dir)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            if state.is_world_process_zero:  # which writes the weights
                (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()

    return Watching
