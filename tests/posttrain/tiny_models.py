"""Random language models of a few thousand weights that are alike enough to be merged."""

from __future__ import annotations

from pathlib import Path

from tiny_llama import make_tiny_llama


def make_family(
    folder: Path, experts: int = 3, *, spread: float = 0.3, layers: int = 2, shard: str = "5GB"
) -> list[Path]:
    """The folder of a base and of so many experts, each the base with noise; experts may lie in several shards."""
    import torch
    from transformers import AutoModelForCausalLM

    base = make_tiny_llama(folder / "base", layers=layers)
    made = [base]
    for number in range(experts):
        model = AutoModelForCausalLM.from_pretrained(base)
        chance = torch.Generator().manual_seed(100 + number)
        with torch.no_grad():
            for weight in model.parameters():
                size = spread * weight.std(correction=0).clamp(min=0.1)
                weight.add_(size * torch.randn(weight.shape, generator=chance))
        made.append(folder / f"expert{number}")
        model.save_pretrained(made[-1], max_shard_size=shard)
        copy_tokenizer(base, made[-1])
    return made


def copy_tokenizer(source: Path, target: Path) -> None:
    for file in source.iterdir():
        if "token" in file.name or file.suffix == ".jinja":
            (target / file.name).write_bytes(file.read_bytes())


def weights_of(folder: Path) -> dict:
    """All tensors of a folder, from all its shards."""
    from safetensors.torch import load_file

    found: dict = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found
