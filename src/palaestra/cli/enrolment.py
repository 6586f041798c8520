"""The flags by which a trained checkpoint joins an arena's contestants, the same for every command that trains.

config: Annotated[Enrolment, Parameter(name="*")]      --enrol models.toml --enrol-as NAME
                                                       --gate RESULTS --board BOARD --beats MODEL --chance 0.5
check_enrolment(config, out.name)                      before the training
return enrol_checkpoint(config, folder / "model", out.name, measured)      after it: the command's exit code
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palaestra import console
from palaestra.errors import InputError
from palaestra.recipes.gate import GateConfig, check_gate, decide

if TYPE_CHECKING:
    from palaestra.schema import ModelSpec

_FAILED = 1


class Enrolment(GateConfig):
    """Whether what was trained joins the contestants of an arena."""

    enrol: Path | None = None
    """The models.toml that the checkpoint joins; made if it is not there."""
    enrol_as: str | None = None
    """Its name there; that of the run's folder if left out."""


def check_enrolment(config: Enrolment, name: str) -> None:
    """See that the checkpoint could join, before it is made.

    Raises:
        InputError: flags that belong together are not, a file is not what it should be, or the name is taken.
    """
    from palaestra.gateway.enrol import check_place

    gated = check_gate(config)
    if config.enrol is None:
        if gated or config.enrol_as is not None:
            raise InputError("found --gate or --enrol-as without --enrol, expected the models.toml to join")
        return
    check_place(config.enrol, config.enrol_as or name)


def enrol_checkpoint(
    config: Enrolment,
    checkpoint: Path,
    name: str,
    measured: Mapping[str, float] | None = None,
    **details: Any,  # noqa: ANN401 - fields of ModelSpec
) -> int:
    """Let a trained checkpoint join, if that is wanted and the gate lets it; the exit code.

    Args:
        config: the flags.
        checkpoint: the folder of the model.
        name: under which it joins, unless --enrol-as says another.
        measured: its scores by benchmark, for the gate; if None, the results have a row of it.
        **details: more fields of its table: `temperature`, `max_tokens`, `system`.
    """
    from palaestra.gateway.enrol import checkpoint_spec

    if config.enrol is None:
        return 0
    spec = checkpoint_spec(checkpoint, config.enrol_as or name, **details)
    return enrol_spec(spec, config.enrol, config, measured)


def enrol_spec(spec: ModelSpec, models: Path, gate: GateConfig, measured: Mapping[str, float] | None = None) -> int:
    """Add a model to a models.toml if the gate lets it; 1 if it does not, in words."""
    from palaestra.gateway.enrol import check_place, enrol

    check_place(models, spec.name)
    if check_gate(gate):
        decision = decide(gate, spec.name, measured)
        for warning in decision.warnings:
            console.warn(warning)
        console.note(decision.words)
        if not decision.passes:
            return _FAILED
    enrol(spec, models)
    console.note(f"{spec.name} has joined {models}; see that it answers: palaestra models check --models {models}")
    return 0
