"""What a trained model says of itself: `card.md`."""

from __future__ import annotations

from typing import Any

from palaestra.p2l.head import Head


def card_of(head: Head, name: str) -> str:
    """The card of a head."""
    report = head.report
    lines = [
        f"# {name}: a leaderboard for every prompt",
        "",
        f"- models: {len(head.models)}",
        f"- votes: {report['votes']:g} on {report['prompts']} prompts",
        f"- kind: {head.kind}; vectors: {head.features}; components: {head.weights.w_MK.shape[1]}",
        f"- spread of strengths over prompts: {head.spread:g} log odds; members of the ensemble: {len(head.members)}",
    ]
    if head.tuned is not None:
        lines += _of_tuned(head.tuned.about)
    if report["tried"]:
        gain, se = report["gain"], report["gain_se"]
        lines += [
            f"- held-out log loss {report['held_out_log_loss']:.4f} a vote, {gain:.4f} ± {se:.4f} below one board",
            "",
            "| spread | held-out log loss | gain on the plain board | its standard error |",
            "|---|---|---|---|",
            *(
                f"| {t['spread']:g} | {t['log_loss']:.5f} | {t['gain']:+.5f} | {t['gain_se']:.5f} |"
                for t in report["tried"]
            ),
        ]
    lines += ["", *(f"- {text}" for text in warnings_of(head))]
    return "\n".join(lines).rstrip() + "\n"


def _of_tuned(about: dict[str, Any]) -> list[str]:
    how = f"low-rank changes of rank {about['lora_rank']}" if about["mode"] == "lora" else "all weights"
    steps = f"{about['steps']} steps of {about['batch']} prompts, learning rate {about['learning_rate']:g}"
    untrained, trained = about["frozen_log_loss"], about["own_log_loss"]
    return [
        f"- language model: {about['backbone']}, {how}: {steps}, mean loss {about['loss']:.4f}",
        f"- learnt from {about['votes']:g} votes on {about['prompts']} prompts, {about['max_tokens']} tokens at most",
        f"- head, spread and ensemble: from {about['aside_votes']:g} votes on {about['aside_prompts']} other prompts",
        f"- log loss on these: untrained with a head of its own {untrained:.4f}, trained {trained:.4f}",
    ]


def warnings_of(head: Head) -> list[str]:
    """What the reader should know."""
    said = [*head.doubts]
    if head.spread == 0 and not head.report["tried"]:
        said.append("The spread given is zero: every prompt gets the same, plain board.")
    elif head.spread == 0:
        said.append("No spread above zero foretold held-out prompts better: every prompt gets the same, plain board.")
    if not head.report["converged"]:
        said.append("The fit did not converge; do not use these boards.")
    if head.tuned is not None and head.tuned.about["own_log_loss"] >= head.tuned.about["frozen_log_loss"]:
        said.append("Training the language model did not help: untrained, it foretold the prompts set aside as well.")
    if head.report["gain"] is not None and head.spread and head.report["gain"] < 2 * head.report["gain_se"]:
        said.append("The gain on one board for all prompts is within two standard errors of none.")
    return said
