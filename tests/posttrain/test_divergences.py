from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.posttrain.divergences import balanced, blended, divergence, log_others, log_rest, sampled_loss, with_rest

KINDS = ("reverse", "forward", "jensen-shannon")


def logs(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(2 * torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize(("kind", "beta"), [("reverse", 1.0), ("forward", 0.0), ("jensen-shannon", 0.3)])
def test_loss_and_gradients_are_those_of_trl(kind: Any, beta: float) -> None:
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    torch.manual_seed(0)
    hidden_S = torch.randn(2, 7, 16, requires_grad=True)
    hidden_T = torch.randn(2, 7, 24)
    head_S, head_T = torch.randn(50, 16), torch.randn(50, 24)
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]])
    theirs, _, count = _chunked_divergence_loss(hidden_S, hidden_T, head_S, head_T, mask, beta)
    theirs.backward()
    their_gradient = hidden_S.grad
    hidden_S.grad = None
    valid = mask.bool()
    ours = divergence(
        torch.log_softmax(hidden_S[valid] @ head_S.T, -1), torch.log_softmax(hidden_T[valid] @ head_T.T, -1), kind, beta
    ).sum() / int(count)  # fmt: skip
    ours.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(hidden_S.grad, their_gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: Any) -> None:
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    teacher = logs(3, 6, 1)
    assert torch.autograd.gradcheck(lambda x: divergence(torch.log_softmax(x, -1), teacher, kind, 0.4), (logits,))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(2, 30), kind=st.sampled_from(KINDS))
def test_never_negative_and_nothing_between_equals(seed: int, width: int, kind: Any) -> None:
    one, other = logs(4, width, seed), logs(4, width, seed + 1)
    assert (divergence(one, other, kind) >= -1e-12).all()
    assert divergence(one, one, kind).abs().max() < 1e-12


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), told=st.integers(1, 12), kind=st.sampled_from(KINDS))
def test_what_a_few_tokens_tell_is_never_more_than_all(seed: int, told: int, kind: Any) -> None:
    student, teacher = logs(5, 12, seed), logs(5, 12, seed + 1)
    tokens = teacher.topk(told).indices
    part = divergence(with_rest(student, tokens), with_rest(teacher, tokens), kind)
    whole = divergence(student, teacher, kind)
    assert (part <= whole + 1e-9).all()
    assert (part >= -1e-12).all()
    if told == 12:
        torch.testing.assert_close(part, whole, atol=1e-9, rtol=1e-9)


def test_the_rest_is_what_is_missing() -> None:
    all_of_it = logs(3, 8, 5)
    tokens = torch.tensor([[0, 1, -1], [2, 3, 4], [7, -1, -1]])
    found = with_rest(all_of_it, tokens)
    assert found.exp().sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert found[0, 2] == -math.inf
    assert log_rest(all_of_it).max() < -16  # nothing is left, and it is still a number


def test_the_rest_is_exact_where_a_teacher_is_sure_in_32_bits() -> None:
    """One less the sum of a few probabilities would be nought here, and the divergence far above that of the whole."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.log_softmax(torch.randn(6, 40, generator=generator) + 25 * torch.eye(40)[:6], -1)
    student = torch.log_softmax(torch.randn(6, 40, generator=generator), -1)
    tokens = teacher.topk(1).indices
    found = log_others(teacher, tokens)
    torch.testing.assert_close(found, teacher.double().scatter(1, tokens, -math.inf).logsumexp(1).float())
    assert (found < -19).all()
    for kind in ("reverse", "forward"):
        part = divergence(with_rest(student, tokens), with_rest(teacher, tokens), kind)
        assert (part <= divergence(student, teacher, kind) + 1e-4).all()


def test_the_sampled_loss_has_the_gradient_of_reverse_kl_in_expectation() -> None:
    """By enumeration over the vocabulary; also when the tokens come from an older student."""
    logits = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    teacher, behaviour = logs(1, 5, 3), logs(1, 5, 4)
    exact = torch.autograd.grad(divergence(torch.log_softmax(logits, -1), teacher).sum(), logits)[0]
    for drawn_from in (torch.log_softmax(logits, -1).detach(), behaviour):
        found = torch.zeros_like(logits)
        for token in range(5):
            own = torch.log_softmax(logits, -1)[:, token]
            loss = sampled_loss(own, teacher[:, token], drawn_from[:, token]).sum()
            found += drawn_from[0, token].exp() * torch.autograd.grad(loss, logits)[0]
        torch.testing.assert_close(found, exact, atol=1e-14, rtol=1e-10)
    on_policy = sum(
        torch.log_softmax(logits, -1)[0, token].exp().detach()
        * torch.autograd.grad(
            sampled_loss(torch.log_softmax(logits, -1)[:, token], teacher[:, token]).sum(), logits, retain_graph=True
        )[0]
        for token in range(5)
    )
    torch.testing.assert_close(on_policy, exact, atol=1e-14, rtol=1e-10)


def test_a_limit_of_weights_is_kept() -> None:
    own = torch.tensor([-1.0], requires_grad=True)
    free = torch.autograd.grad(sampled_loss(own, torch.tensor([-2.0]), torch.tensor([-5.0])).sum(), own)[0]
    bound = torch.autograd.grad(sampled_loss(own, torch.tensor([-2.0]), torch.tensor([-5.0]), 2.0).sum(), own)[0]
    assert free.item() == pytest.approx(math.exp(4))
    assert bound.item() == pytest.approx(2.0)


@pytest.mark.parametrize(("how", "kind"), [("geometric", "reverse"), ("arithmetic", "forward")])
def test_a_mixture_is_what_minimises_the_sum(how: Any, kind: Any) -> None:
    teachers = torch.stack([logs(1, 6, seed) for seed in (1, 2, 3)])
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    best = blended(teachers, share, how)
    assert best.exp().sum().item() == pytest.approx(1)

    def cost(log_NV: torch.Tensor) -> torch.Tensor:
        return sum(q * divergence(log_NV, teacher, kind).sum() for q, teacher in zip(share, teachers, strict=True))

    logits = best.clone().requires_grad_()
    gradient = torch.autograd.grad(cost(torch.log_softmax(logits, -1)), logits)[0]
    assert gradient.abs().max() < 1e-12
    for seed in range(5):
        assert cost(logs(1, 6, 50 + seed)) > cost(best)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(0, 1000))
def test_each_domain_counts_by_its_weight_whatever_its_length(domains: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss_N = torch.rand(len(domains), generator=generator, dtype=torch.float64)
    domain_N = torch.tensor(domains)
    tokens_D = torch.bincount(domain_N, minlength=3)
    weight_D = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    expected = sum(
        weight_D[d] * loss_N[domain_N == d].mean() for d in range(3) if (domain_N == d).any()
    )  # fmt: skip
    assert balanced(loss_N, domain_N, weight_D, tokens_D).item() == pytest.approx(float(expected))
    halves = [slice(0, len(domains) // 2), slice(len(domains) // 2, None)]
    parts = sum(balanced(loss_N[half], domain_N[half], weight_D, tokens_D) for half in halves)
    assert float(parts) == pytest.approx(float(expected))


def test_orders_of_rows_do_not_matter() -> None:
    loss_N, domain_N = torch.rand(6), torch.tensor([0, 1, 1, 0, 2, 2])
    found = {
        round(balanced(loss_N[list(order)], domain_N[list(order)], torch.ones(3), torch.tensor([2, 2, 2])).item(), 5)
        for order in itertools.islice(itertools.permutations(range(6)), 50)
    }
    assert len(found) == 1
