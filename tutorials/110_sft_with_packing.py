"""Fine-tuning with packing, on one screen: several examples in one row that do not see each other, prompts masked.

A model of one layer learns two things at once, to copy and to reverse three letters. Rows are packed by best fit
decreasing; a mask by blocks keeps examples apart, so that loss and gradient are those of examples one by one.

    palaestra train sft MODEL examples.jsonl --mixture copy=1,turn=2 --pack-to 64 --out run

Run it: `python tutorials/110_sft_with_packing.py`. It takes about ten seconds.
"""

import torch
from torch import Tensor
from torch.nn import functional

torch.manual_seed(0)
LETTERS = "abcdefgh"
TOKENS = {token: number for number, token in enumerate([*LETTERS, "<", "=", ">", "."])}  # copy, turn, says, end
ROOM, WIDTH, BATCH = 32, 48, 48


def example(number: int, kind: str) -> tuple[list[int], int]:
    """Tokens, and where the completion begins: `<abc>abc.` or `=abc>cba.`."""
    word = "".join(LETTERS[number // 8**place % 8] for place in range(3))
    return [TOKENS[t] for t in f"{kind}{word}>{word if kind == '<' else word[::-1]}."], 5


def packed(lengths: list[int]) -> list[list[int]]:
    """Which examples share a row: the longest first, each where it leaves the least room."""
    rows, room = [], []
    for number in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        fits = [row for row in range(len(rows)) if room[row] >= lengths[number]]
        row = min(fits, key=lambda r: room[r]) if fits else len(rows)
        if row == len(rows):
            rows.append([])
            room.append(ROOM)
        rows[row].append(number)
        room[row] -= lengths[number]
    return rows


def batch(examples: list[tuple[list[int], int]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens, positions, the number of each token's example, and labels: -100 on prompts and where nothing stands."""
    rows = packed([len(tokens) for tokens, _ in examples])
    ids, place, owner = (torch.zeros(len(rows), ROOM, dtype=torch.long) for _ in range(3))
    labels = torch.full((len(rows), ROOM), -100)
    for row, members in enumerate(rows):
        end = 0
        for number in members:
            tokens, start = examples[number]
            here = slice(end, end := end + len(tokens))
            ids[row, here], place[row, here] = torch.tensor(tokens), torch.arange(len(tokens))
            owner[row, here] = number + 1
            labels[row, here.start + start : end] = torch.tensor(tokens[start:])
    return ids, place, owner, labels


weights = {
    "token": torch.randn(len(TOKENS), WIDTH) * 0.3,
    "place": torch.randn(ROOM, WIDTH) * 0.3,
    **{name: torch.randn(WIDTH, WIDTH) / WIDTH**0.5 for name in ("query", "key", "value", "up", "down")},
}
for weight in weights.values():
    weight.requires_grad_()


def logits(ids: Tensor, place: Tensor, owner: Tensor) -> Tensor:
    """One layer of attention within each example, and one of neurons."""
    x = weights["token"][ids] + weights["place"][place]
    q, k, v = (x @ weights[name] for name in ("query", "key", "value"))
    apart = (owner[:, :, None] == owner[:, None, :]) & torch.ones(ids.shape[1], ids.shape[1]).tril().bool()
    x = x + functional.scaled_dot_product_attention(q, k, v, attn_mask=apart)
    return (x + torch.relu(x @ weights["up"]) @ weights["down"]) @ weights["token"].T


def loss_sum(ids: Tensor, place: Tensor, owner: Tensor, labels: Tensor) -> Tensor:
    """Minus log-probabilities, summed over the tokens of completions."""
    said = logits(ids, place, owner)[:, :-1]
    return functional.cross_entropy(said.transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="sum")


def gradient() -> Tensor:
    """All gradients as one vector, which are forgotten."""
    found = torch.cat([weight.grad.flatten() for weight in weights.values()])
    for weight in weights.values():
        weight.grad = None
    return found


some = [example(n, kind) for n, kind in enumerate("<==<==<")]
parts = batch(some)
learnt = int((parts[3] != -100).sum())
(loss_sum(*parts) / learnt).backward()
together = gradient()
for one in some:  # one by one, divided by the tokens of the whole batch and not by one's own
    (loss_sum(*batch([one])) / learnt).backward()
apart = gradient()
print(f"{len(some)} examples in {len(parts[0])} rows; gradients differ by {float((together - apart).abs().max()):.0e}")

optimiser = torch.optim.AdamW(weights.values(), lr=1e-2)
taught, held = ([n for n in range(512) if (n % 9 == 0) is out] for out in (False, True))
for step in range(401):
    numbers = torch.randint(len(taught), (BATCH,)).tolist()
    rows = batch([example(taught[n], "<=="[place % 3]) for place, n in enumerate(numbers)])  # turn has twice the weight
    loss = loss_sum(*rows) / (rows[3] != -100).sum()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 100 == 0:
        print(f"step {step:3}  loss {loss.item():.3f} a token, {BATCH} examples in {len(rows[0])} rows")

for kind, name in (("<", "copy"), ("=", "turn")):
    ids, place, owner, labels = batch([example(n, kind) for n in held])
    right = (logits(ids, place, owner)[:, :-1].argmax(-1) == labels[:, 1:])[labels[:, 1:] != -100].float().mean()
    print(f"{name}: {right:.1%} of held-out tokens are right")
