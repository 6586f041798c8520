"""Teachers, and what they say of a student's tokens: folders that are loaded when their rows come, or endpoints.

A teacher is asked for whole batches of rows at a time, and tells of each position all log-probabilities (a small
vocabulary) or its k likeliest tokens. Folders of one architecture share one place in memory: a teacher's weights are
read into it from the memory-mapped file, so that twenty teachers need the memory of one and change in milliseconds.
Adapters (LoRA) are added to their base as they are read.

A folder that is not there, cut short, with weights that are no numbers, or with another vocabulary than the student's
is an error before the first step. Not here: what is made of the answers (`divergences.py`), endpoints
(`teacher_endpoint.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from palaestra.errors import InputError
from palaestra.learn.backbone import Dtype, backbone_folder, libraries, padded, resolved_dtype, unreadable
from palaestra.learn.language_model import same_vocabulary
from palaestra.posttrain.divergences import log_others

_TOKENS_AT_ONCE = 8192
"""Padded tokens of one pass of a teacher."""
ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt with what the student made of it: all tokens, and where the completion begins."""

    tokens: list[int]
    start: int

    @property
    def length(self) -> int:
        """Tokens of the completion."""
        return len(self.tokens) - self.start


@dataclass(frozen=True, slots=True)
class Told:
    """What a teacher says of the positions of some rows, one after the other (N = all completions' tokens)."""

    logprob_NK: Any
    """Log-probabilities; all of the vocabulary where `token_NK` is None."""
    token_NK: Any = None
    """Which tokens; -1 where a teacher told fewer than K."""
    rest_N: Any = None
    """The log-probability of all others, where the teacher knows it."""


class Teacher(Protocol):
    """Whoever can say how likely tokens are after these."""

    def __call__(self, rows: Sequence[Row]) -> Told:
        """What follows each prefix of the completions."""
        ...


class Folders:
    """Teachers in folders of Hugging Face, by name.

    Args:
        folders: of each teacher: a model, or an adapter of peft beside its base.
        student: the student's model, whose vocabulary they must share.
        top: the k likeliest tokens are told; all if left out.
        dtype: of a teacher's weights and of its passes; `auto` is 16 bits where the machine multiplies them.
        cache: where converted models are kept; the user's cache if left out.

    Raises:
        InputError: a folder is missing or not a whole model, or its tokens mean something else than the student's.
        MissingPartError: the extra `train` is not installed.
    """

    def __init__(
        self,
        folders: Mapping[str, str],
        student: str,
        *,
        top: int | None = None,
        dtype: Dtype = "auto",
        cache: Path | None = None,
    ) -> None:
        torch, _ = libraries()
        self._top, self._cache = top, cache
        self._dtype = getattr(torch, resolved_dtype(dtype))
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._folders = {name: _checked(name, folder, student, cache) for name, folder in folders.items()}
        self._place: tuple[str, Any] | None = None
        self._holds: str | None = None

    def __getitem__(self, name: str) -> Teacher:
        """The teacher of this name."""
        return lambda rows: self._told(name, rows)

    def _told(self, name: str, rows: Sequence[Row]) -> Told:
        torch, _ = libraries()
        model = self._loaded(name)
        found, rest = [], []
        with torch.inference_mode():
            for batch in _batches(rows):
                log_NV = log_probabilities(model, batch).float()
                if not torch.isfinite(log_NV.logsumexp(dim=-1)).all():
                    raise InputError(f"the teacher {name} in {self._folders[name]} gave logits that are no numbers")
                if self._top is not None:
                    best = log_NV.topk(min(self._top, log_NV.shape[1]))
                    rest.append(log_others(log_NV, best.indices))
                    log_NV = best
                found.append(log_NV)
            if self._top is None:
                return Told(torch.cat(found))
            values, tokens = (torch.cat([getattr(one, part) for one in found]) for part in ("values", "indices"))
            return Told(values, tokens, torch.cat(rest))

    def model(self, name: str) -> Any:  # noqa: ANN401 - of transformers
        """A teacher's model, until another teacher is asked."""
        return self._loaded(name)

    def _loaded(self, name: str) -> Any:  # noqa: ANN401 - of transformers
        folder = self._folders[name]
        if self._holds == name and self._place is not None:
            return self._place[1]
        shape = _architecture(folder)
        if self._place is None or self._place[0] != shape:
            self._place = (shape, None)  # the former is gone before the next is there
            self._place = (shape, self._made(folder))
        _read_into(self._place[1], folder)
        self._holds = name
        return self._place[1]

    def _made(self, folder: Path) -> Any:  # noqa: ANN401 - of transformers
        _, transformers = libraries()
        base = _base(folder)
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=self._dtype, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise unreadable(base, error) from error
        return model.to(self._device).eval().requires_grad_(requires_grad=False)


def log_probabilities(model: Any, rows: Sequence[Row]) -> Any:  # noqa: ANN401 - of transformers
    """Log-probabilities of the next token at every position of the completions, shape (N, V), row after row.

    Args:
        model: a causal language model; gradients flow where they are asked for.
        rows: prompts with completions.
    """
    torch, _ = libraries()
    device = next(model.parameters()).device
    tokens_BT, mask_BT = (torch.from_numpy(part).to(device) for part in padded([row.tokens for row in rows], 0))
    first = min(row.start for row in rows)
    logits_BTV = model(
        input_ids=tokens_BT, attention_mask=mask_BT, use_cache=False,
        logits_to_keep=tokens_BT.shape[1] - first + 1,
    ).logits[:, :-1]  # fmt: skip
    place_T = torch.arange(first, tokens_BT.shape[1], device=device)
    start_B = torch.tensor([row.start for row in rows], device=device)
    end_B = torch.tensor([len(row.tokens) for row in rows], device=device)
    said_BT = (place_T >= start_B[:, None]) & (place_T < end_B[:, None])
    return torch.log_softmax(logits_BTV[said_BT].float(), dim=-1)


def _batches(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows in their order, in batches of about as many padded tokens."""
    found: list[list[Row]] = [[]]
    longest = 0
    for row in rows:
        longest = max(longest, len(row.tokens))
        if found[-1] and longest * (len(found[-1]) + 1) > _TOKENS_AT_ONCE:
            found.append([])
            longest = len(row.tokens)
        found[-1].append(row)
    return found


def _checked(name: str, folder: str, student: str, cache: Path | None) -> Path:
    """A teacher's folder, once it is sure that its weights are whole and its tokens are the student's."""
    path = Path(folder)
    if not (path / ADAPTER).is_file():
        path = backbone_folder(folder, cache)
    _check_whole(path)
    if (path / ADAPTER).is_file():
        _check_plain(path)
    if why := same_vocabulary(str(_base(path)), student, cache) or _other_width(_base(path), student, cache):
        raise InputError(
            f"the teacher {name} in {folder} has another vocabulary than the student: {why}; a divergence between "
            "their next tokens means nothing. Take teachers with the student's tokenizer, or write their completions "
            "with `palaestra train data` and learn them with `palaestra train sft`"
        )
    for _, tensor in _tensors(path):
        if not tensor.isfinite().all():
            raise InputError(f"the teacher {name} in {folder} has weights that are no numbers, expected finite ones")
    return path


def _base(folder: Path) -> Path:
    """The folder of a teacher's whole model: its own, or an adapter's base."""
    if not (folder / ADAPTER).is_file():
        return folder
    said = json.loads((folder / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not said or not (Path(said) / "config.json").is_file():
        raise InputError(f"found the adapter {folder} of the base {said!r}, expected a folder with a config.json")
    return Path(said)


def _architecture(folder: Path) -> str:
    """What must be equal for two models to fit into one place."""
    config = json.loads((_base(folder) / "config.json").read_text(encoding="utf-8"))
    return json.dumps({name: value for name, value in config.items() if name != "_name_or_path"}, sort_keys=True)


def _check_whole(folder: Path) -> None:
    """See that a model's folder has every tensor that its architecture has, in its shape.

    Raises:
        InputError: one is missing, or there is one that the architecture has no room for.
    """
    torch, transformers = libraries()
    base = _base(folder)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.from_pretrained(base, local_files_only=True)
        )
    _fill(dict(model.named_parameters(remove_duplicate=False)), base, copy=False)


def _other_width(base: Path, student: str, cache: Path | None) -> str | None:
    """Why the logits of two models of one tokenizer do not stand for the same tokens; None if they do."""
    widths = [
        json.loads((folder / "config.json").read_text(encoding="utf-8")).get("vocab_size")
        for folder in (base, _base(backbone_folder(student, cache)))
    ]
    return None if widths[0] == widths[1] else f"{widths[0]} and {widths[1]} logits"


def _check_plain(folder: Path) -> None:
    """See that an adapter is LoRA and nothing else.

    Raises:
        InputError: it changes more, or otherwise.
    """
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    more = ("rank_pattern", "alpha_pattern", "modules_to_save", "use_dora", "fan_in_fan_out", "trainable_token_indices")
    odd = [name for name in more if config.get(name)]
    odd += [] if config.get("bias", "none") == "none" else ["bias"]
    odd += [] if config.get("peft_type") == "LORA" else ["peft_type"]
    odd += [name for name, _ in _tensors(folder) if ".lora_A." not in name and ".lora_B." not in name][:3]
    if odd:
        raise InputError(
            f"found the adapter {folder} with {', '.join(odd)}, expected plain LoRA of linear layers; merge it into "
            "its base first (`merge_and_unload` of peft)"
        )


def _tensors(folder: Path) -> Any:  # noqa: ANN401 - names and tensors
    """Every tensor of a folder's shards, by name."""
    from safetensors import SafetensorError, safe_open

    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise InputError(f"found no safetensors in {folder}, expected a teacher's weights")
    for shard in shards:
        try:
            with safe_open(shard, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a dictionary
                    yield name, opened.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise InputError(f"cannot read {shard}: {error}; expected a teacher's weights, whole") from error


def _read_into(model: Any, folder: Path) -> None:  # noqa: ANN401 - of transformers
    """A folder's weights into a model that has room for them; an adapter's changes on top of its base's."""
    torch, _ = libraries()
    rooms = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        _fill(rooms, _base(folder), copy=True)
        if not (folder / ADAPTER).is_file():
            return
        for name, change in _changes(folder):
            rooms[name].add_(change.to(rooms[name].dtype))


def _fill(rooms: dict[str, Any], base: Path, *, copy: bool) -> None:
    """Put a folder's tensors where they belong, or only see that they fit; tied ones share a place."""
    filled = set()
    for name, tensor in _tensors(base):
        if name not in rooms or rooms[name].shape != tensor.shape:
            raise InputError(f"found the weights {name} in {base}, expected those that its config.json describes")
        filled.add(id(rooms[name]))
        if copy:
            rooms[name].copy_(tensor)
    if missing := [name for name, room in rooms.items() if id(room) not in filled]:
        raise InputError(f"found no weights {missing[0]} in {base}, expected all that its config.json describes")


def _changes(folder: Path) -> Any:  # noqa: ANN401 - names and tensors
    """What an adapter adds to each weight: scale x B A (Hu et al., 2021)."""
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    tensors = dict(_tensors(folder))
    scale = config["lora_alpha"] / (config["r"] ** (0.5 if config.get("use_rslora") else 1.0))
    for name, low in tensors.items():
        if ".lora_A." not in name:
            continue
        change = scale * tensors[name.replace(".lora_A.", ".lora_B.")].float() @ low.float()
        yield name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight"), change
