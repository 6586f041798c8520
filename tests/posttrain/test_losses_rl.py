"""Policy gradients on tensors: TRL's own losses to the last digit, finite differences, exact expectations."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tiny_llama import make_tiny_llama

from palaestra.posttrain import losses_rl as ours

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

P, G, T = 2, 4, 5
N = P * G


def _tensors(seed: int = 0) -> dict[str, Any]:
    chance = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 0.3) -> Any:
        return scale * torch.randn(*shape, generator=chance)

    old_NT = -normal(N, T, scale=1.0).abs() - 0.1
    lengths = torch.randint(1, T + 1, (N,), generator=chance)
    return {
        "log": (old_NT + normal(N, T)).requires_grad_(),
        "old": old_NT,
        "start": old_NT + normal(N, T),
        "behaviour": old_NT + normal(N, T),
        "mask": (torch.arange(T)[None] < lengths[:, None]).long(),
        "reward": torch.rand(P, G, generator=chance),
    }


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """TRL's two trainers around a tiny model, whose log-probabilities are the given ones."""
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_tiny_llama(tmp_path_factory.mktemp("tiny") / "llama")
    rows = datasets.Dataset.from_list([{"prompt": "a"}] * N)
    found = {}
    for name, kind, config in (
        ("grpo", trl.GRPOTrainer, trl.GRPOConfig),
        ("rloo", trl.RLOOTrainer, trl.RLOOConfig),
    ):
        args = config(
            str(tmp_path_factory.mktemp(name)), per_device_train_batch_size=N, num_generations=G, use_cpu=True,
            bf16=False, report_to="none", max_completion_length=T, gradient_checkpointing=False,
        )  # fmt: skip
        found[name] = kind(
            model=AutoModelForCausalLM.from_pretrained(folder),
            reward_funcs=lambda completions, **_: [float(len(said)) for said in completions],
            args=args,
            train_dataset=rows,
            processing_class=AutoTokenizer.from_pretrained(folder),
        )
        found[name].current_gradient_accumulation_steps = 1
    return found


def _their_loss(trainer: Any, given: dict[str, Any], **more: Any) -> Any:
    """What TRL computes where the model would say the given log-probabilities."""

    def said(*_: Any, **__: Any) -> Any:
        return given["log"], torch.zeros(N, T), None

    trainer._get_per_token_logps_and_entropies = said
    inputs = {
        "prompt_ids": torch.ones(N, 2, dtype=torch.long), "prompt_mask": torch.ones(N, 2, dtype=torch.long),
        "completion_ids": torch.ones(N, T, dtype=torch.long), "completion_mask": given["mask"],
        "old_per_token_logps": given["old"], "old_logps": (given["old"] * given["mask"]).sum(1),
        "ref_per_token_logps": given["start"], "num_items_in_batch": given["mask"].sum(),
    }  # fmt: skip
    return trainer._compute_loss(trainer.model, inputs | more)


def _same(one: Any, other: Any, leaf: Any) -> None:
    assert one.item() == pytest.approx(other.item(), abs=1e-6)
    gradients = [torch.autograd.grad(loss, leaf, retain_graph=True)[0] for loss in (one, other)]
    assert gradients[0].abs().max() > 1e-4
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("how", ["grpo", "bnpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize(("level", "theirs_level"), [("token", "token"), ("mean", "sequence")])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_grpo_is_trls(theirs: dict[str, Any], how: Any, level: Any, theirs_level: str, beta: float) -> None:
    trainer, given = theirs["grpo"], _tensors(1)
    trainer.loss_type, trainer.importance_sampling_level, trainer.beta = how, theirs_level, beta
    trainer.epsilon_low, trainer.epsilon_high = 0.2, 0.28
    advantage_N1 = ours.advantages(given["reward"], "grpo").reshape(-1, 1)
    ratio_NT = ours.log_ratio(given["log"], given["old"], given["mask"], level)
    loss_NT = ours.clipped(ratio_NT, advantage_N1, 0.2, 0.28)
    if beta:
        loss_NT = loss_NT + beta * ours.kl(given["log"], given["start"]) * ratio_NT.exp()  # TRL's unbiased form
    here = ours.summed(loss_NT, given["mask"], how, tokens=given["mask"].sum(), longest=T)
    _same(here, _their_loss(trainer, given, advantages=advantage_N1[:, 0]), given["log"])


@pytest.mark.parametrize("how", ["truncate", "mask"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_the_correction_of_another_engine_is_trls(theirs: dict[str, Any], how: Any, level: Any) -> None:
    trainer, given = theirs["grpo"], _tensors(2)
    trainer.loss_type, trainer.importance_sampling_level, trainer.beta = "bnpo", "token", 0.0
    trainer.epsilon_low = trainer.epsilon_high = 0.2
    advantage_N1 = ours.advantages(given["reward"], "dr_grpo").reshape(-1, 1)
    weight_NT = ours.importance(given["old"], given["behaviour"], given["mask"], how, level, least=0.8, most=1.25)
    gap_NT = (given["old"] - given["behaviour"]) * given["mask"]
    plain_NT = (gap_NT.sum(1, keepdim=True) if level == "sequence" else gap_NT).exp()
    inside_NT = (plain_NT >= 0.8) & (plain_NT <= 1.25)
    assert 0 < inside_NT.sum() < inside_NT.numel()
    expected_NT = plain_NT.clamp(0.8, 1.25) if how == "truncate" else plain_NT * inside_NT
    torch.testing.assert_close(weight_NT, expected_NT)
    loss_NT = ours.clipped(given["log"] - given["old"], advantage_N1) * weight_NT
    trainer.use_vllm, trainer.vllm_importance_sampling_correction = True, True
    try:
        there = _their_loss(trainer, given, advantages=advantage_N1[:, 0], importance_sampling_ratio=weight_NT)
    finally:
        trainer.use_vllm = False
    _same(ours.summed(loss_NT, given["mask"], "bnpo"), there, given["log"])


def test_rloo_is_trls(theirs: dict[str, Any]) -> None:
    given = _tensors(3)
    advantage_N1 = ours.advantages(given["reward"], "rloo").reshape(-1, 1)
    reward_PG = given["reward"]
    others_PG = (reward_PG.sum(1, keepdim=True) - reward_PG) / (G - 1)
    torch.testing.assert_close(advantage_N1.reshape(P, G), reward_PG - others_PG)
    ratio_N1 = ours.log_ratio(given["log"], given["old"], given["mask"], "sum")
    here = ours.clipped(ratio_N1, advantage_N1).mean()
    _same(here, _their_loss(theirs["rloo"], given, advantages=advantage_N1[:, 0]), given["log"])


def test_advantages_are_trls_when_it_scores_rollouts_itself(theirs: dict[str, Any]) -> None:
    """Both trainers sample, score by length and centre; ours of the same rewards are the same."""
    for name, kind in (("grpo", "grpo"), ("rloo", "rloo")):
        trainer = theirs[name]
        trainer.beta = 0.0
        trainer.__dict__.pop("_get_per_token_logps_and_entropies", None)
        found = trainer._generate_and_score_completions([{"prompt": "a"}] * N)
        lengths = [float(len(said)) for said in list(trainer._logs["completion"])[-N:]]
        here = ours.advantages(torch.tensor(lengths).reshape(P, G), kind).reshape(-1)
        torch.testing.assert_close(found["advantages"], here, atol=1e-6, rtol=1e-6)


def test_gradients_are_finite_differences() -> None:
    given = {name: each.detach().double() for name, each in _tensors(4).items()}
    log_NT, mask_NT = given["log"].requires_grad_(), given["mask"]
    advantage_N1 = ours.advantages(given["reward"]).reshape(-1, 1)
    for level, how in product(("token", "mean", "sum"), ("grpo", "bnpo", "dapo", "dr_grpo")):

        def loss(log_NT: Any, level: Any = level, how: Any = how) -> Any:
            ratio_NT = ours.log_ratio(log_NT, given["old"], mask_NT, level)
            loss_NT = ours.clipped(ratio_NT, advantage_N1) + 0.1 * ours.kl(log_NT, given["start"])
            return ours.summed(loss_NT, mask_NT, how, longest=T)

        assert torch.autograd.gradcheck(loss, (log_NT,))
    value_NT = (given["old"] + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: ours.value_loss(v, given["old"], given["start"]).sum(), (value_NT,))


def _policy(seed: int, vocabulary: int = 3) -> Any:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(2, vocabulary + 1, vocabulary, generator=chance, dtype=torch.float64)


def _logs(table_SVV: Any, replies_NT: Any) -> Any:
    """Log-probabilities of two tokens, the second one's law depending on the first."""
    log_SVV = torch.log_softmax(table_SVV, dim=-1)
    first = log_SVV[0, -1][replies_NT[:, 0]]
    return torch.stack([first, log_SVV[1][replies_NT[:, 0], replies_NT[:, 1]]], dim=1)


REPLIES = torch.tensor(list(product(range(3), range(3))))
REWARD = torch.tensor([0.0, 1.0, 0.3, 2.0, -1.0, 0.5, 0.1, 0.7, 1.5], dtype=torch.float64)


def _truth(table: Any) -> Any:
    """The gradient of the expected reward, over all nine replies."""
    return torch.autograd.grad((_logs(table, REPLIES).sum(1).exp() * REWARD).sum(), table)[0]


@pytest.mark.parametrize("group", [2, 3])
def test_rloo_and_dr_grpo_are_unbiased_over_all_groups(group: int) -> None:
    table = _policy(5).requires_grad_()
    log_NT = _logs(table, REPLIES)
    chance_N = log_NT.sum(1).exp().detach()
    picks_RG = torch.tensor(list(product(range(9), repeat=group)))
    weight_R = chance_N[picks_RG].prod(dim=1)
    assert weight_R.sum().item() == pytest.approx(1.0)
    for kind, factor in (("rloo", 1.0), ("dr_grpo", (group - 1) / group)):
        advantage_RG = ours.advantages(REWARD[picks_RG], kind)
        ratio_RG = ours.log_ratio(log_NT, log_NT.detach(), torch.ones_like(log_NT), "sum")[:, 0][picks_RG]
        loss = (ours.clipped(ratio_RG, advantage_RG).mean(dim=1) * weight_R).sum()
        gradient = torch.autograd.grad(-loss, table, retain_graph=True)[0]
        torch.testing.assert_close(gradient, factor * _truth(table), atol=1e-12, rtol=0)


def test_stale_rollouts_are_unbiased_with_importance_and_biased_once_it_is_cut() -> None:
    table, other = _policy(6).requires_grad_(), _policy(7)
    log_NT, behaviour_NT = _logs(table, REPLIES), _logs(other, REPLIES)
    mask_NT, chance_N = torch.ones_like(log_NT), behaviour_NT.sum(1).exp()
    advantage_N1 = (REWARD - 0.4)[:, None]

    def gradient(**limits: Any) -> Any:
        weight_N1 = ours.importance(log_NT.detach(), behaviour_NT, mask_NT, level="sequence", **limits)
        ratio_N1 = ours.log_ratio(log_NT, log_NT.detach(), mask_NT, "sum")
        loss_N1 = ours.clipped(ratio_N1, advantage_N1) * weight_N1
        return torch.autograd.grad(-(loss_N1[:, 0] * chance_N).sum(), table, retain_graph=True)[0]

    torch.testing.assert_close(gradient(most=None), _truth(table), atol=1e-12, rtol=0)
    assert (gradient(most=1.2) - _truth(table)).abs().max() > 0.01


def test_kl_estimates_are_right_as_numbers_and_as_gradients_where_they_are_said_to_be() -> None:
    table, start = _policy(8).requires_grad_(), _policy(9)
    log_NT, start_NT = _logs(table, REPLIES).sum(1, keepdim=True), _logs(start, REPLIES).sum(1, keepdim=True)
    chance_N1 = log_NT.exp().detach()
    exact = (log_NT.exp() * (log_NT - start_NT)).sum()
    reverse = torch.autograd.grad(exact, table, retain_graph=True)[0]
    forward = torch.autograd.grad(-(start_NT.exp() * log_NT).sum(), table, retain_graph=True)[0]
    for kind, expected in (("k1", torch.zeros_like(reverse)), ("k3", forward)):
        found = (chance_N1 * ours.kl(log_NT, start_NT, kind)).sum()
        assert found.item() == pytest.approx(exact.item(), abs=1e-12)
        torch.testing.assert_close(
            torch.autograd.grad(found, table, retain_graph=True)[0], expected, atol=1e-12, rtol=0
        )
    corrected = (chance_N1 * (log_NT - log_NT.detach()).exp() * ours.kl(log_NT, start_NT)).sum()
    torch.testing.assert_close(torch.autograd.grad(corrected, table)[0], reverse, atol=1e-12, rtol=0)


def test_gae_is_the_double_sum_and_has_its_two_ends() -> None:
    given = {name: each.detach().double() for name, each in _tensors(10).items()}
    reward_NT, value_NT, mask_NT = given["log"] * given["mask"], given["start"], given["mask"]
    g, decay = 0.97, 0.9
    found_NT = ours.gae(reward_NT, value_NT, mask_NT, g, decay)
    for row, length in enumerate(mask_NT.sum(1).int().tolist()):
        values = [*value_NT[row, :length].tolist(), 0.0]
        steps = [reward_NT[row, t].item() + g * values[t + 1] - values[t] for t in range(length)]
        for t in range(length):
            expected = sum((g * decay) ** (s - t) * steps[s] for s in range(t, length))
            assert found_NT[row, t].item() == pytest.approx(expected, abs=1e-12)
        assert (found_NT[row, length:] == 0).all()
    carlo_NT = ours.gae(reward_NT, value_NT, mask_NT, 1.0, 1.0) + value_NT * mask_NT
    rest_NT = reward_NT.flip(1).cumsum(1).flip(1) * mask_NT
    torch.testing.assert_close(carlo_NT, rest_NT)
    holes_NT = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    with_hole = ours.gae(torch.tensor([[1.0, 9.0, 2.0]]).double(), torch.tensor([[0.5, 9.0, 0.25]]).double(), holes_NT)
    without = ours.gae(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.5, 0.25]]).double(), torch.ones(1, 2))
    torch.testing.assert_close(with_hole[:, [0, 2]], without)
    white_NT = ours.whitened(found_NT, mask_NT)[mask_NT.bool()]
    assert (white_NT.mean().item(), white_NT.var(unbiased=False).item()) == pytest.approx((0, 1), abs=1e-6)


def test_the_reward_falls_on_the_last_own_token_and_kl_on_each() -> None:
    mask_NT = torch.tensor([[1, 1, 0], [1, 1, 1]])
    log_NT, start_NT = torch.full((2, 3), -1.0), torch.full((2, 3), -1.5)
    found = ours.token_rewards(torch.tensor([2.0, 3.0]), log_NT, start_NT, mask_NT, beta=0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.05, 1.95, 0.0], [-0.05, -0.05, 2.95]]))


def test_ppo_on_a_chain_finds_the_start_times_the_exponential_reward() -> None:
    """Two tokens of three: with token-level KL the optimum is pi_0 exp(r / beta), and values are soft ones."""
    beta, start = 0.5, _policy(11)
    start_N = _logs(start, REPLIES)
    best_N = torch.log_softmax(start_N.sum(1) + REWARD / beta, dim=0)
    table, value = start.clone().requires_grad_(), torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [table], "lr": 0.05}, {"params": [value], "lr": 0.05}])
    mask_NT = torch.ones(9, 2, dtype=torch.float64)
    for _ in range(400):
        old_NT = _logs(table, REPLIES).detach()
        seen_NT = torch.stack([value[-1].expand(9), value[REPLIES[:, 0]]], dim=1)
        earned_NT = ours.token_rewards(REWARD, old_NT, start_N, mask_NT, beta)
        advantage_NT = ours.gae(earned_NT, seen_NT.detach(), mask_NT, 1.0, 0.95)
        chance_N1 = old_NT.sum(1, keepdim=True).exp()
        old_values_NT = seen_NT.detach()
        for _ in range(2):
            ratio_NT = ours.log_ratio(_logs(table, REPLIES), old_NT, mask_NT)
            now_NT = torch.stack([value[-1].expand(9), value[REPLIES[:, 0]]], dim=1)
            fit_NT = ours.value_loss(now_NT, old_values_NT, advantage_NT + old_values_NT, clip=0.5)
            loss = (chance_N1 * (ours.clipped(ratio_NT, advantage_NT) + fit_NT)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    found_N = _logs(table, REPLIES).sum(1)
    gap = (found_N.exp() * (found_N - best_N)).sum().item()
    at_start = (start_N.sum(1).exp() * (start_N.sum(1) - best_N)).sum().item()
    assert gap < 1e-3
    assert at_start > 0.5
    soft = beta * torch.logsumexp(start_N.sum(1) + REWARD / beta, dim=0)
    assert value[-1].item() == pytest.approx(soft.item(), abs=0.02)
