"""Both sides against independent computation, and by simulated truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.recipes.proxy_board import VerdictProxy, bradley_terry_board
from palaestra.rewards.ppe.benches import SECTIONS, bench_of
from palaestra.rewards.ppe.correctness import domains_of, scored_outcome
from palaestra.rewards.ppe.downstream import foretold, read_results
from palaestra.rewards.ppe.evaluation import PpeConfig, ProxyEvaluation, evaluate
from palaestra.rewards.ppe.proxies import ComparingFunction, Pair, ScoringFunction, function_proxy
from palaestra.rewards.ppe.resampling import Figure
from palaestra.rewards.ppe.samples import Samples, read_samples
from palaestra.schema import Message, Preference
from palaestra.store.preferences import read_preferences
from palaestra.store.records import write_lines

QUICK = PpeConfig(rounds=200, board_rounds=60, least_pairs=50)
STRENGTHS = {"ant": -1.0, "bee": -0.3, "cat": 0.0, "dog": 0.6, "eel": 1.1}


def length(_prompts, replies):  # noqa: ANN001, ANN201 - as a user writes it
    return [float(len(reply)) for reply in replies]


def longer(_prompts, first, second):  # noqa: ANN001, ANN201 - as a user writes it
    return [0.9 if len(a) > len(b) else 0.5 if len(a) == len(b) else 0.1 for a, b in zip(first, second, strict=True)]


def always_first(prompts, _first, _second):  # noqa: ANN001, ANN201 - as a user writes it
    return [0.8] * len(prompts)


def quality(_prompts, replies):  # noqa: ANN001, ANN201 - replies end in what they are worth
    return [float(reply.rsplit(" ", 1)[1]) for reply in replies]


def votes(count: int = 600, seed: int = 0) -> list[Preference]:
    """Replies that say what they are worth; people see it through noise."""
    rng = np.random.default_rng(seed)
    names = list(STRENGTHS)
    found = []
    for number in range(count):
        a, b = (names[place] for place in rng.permutation(len(names))[:2])
        worth = [STRENGTHS[name] + rng.normal(0, 0.5) for name in (a, b)]
        seen = worth[0] - worth[1] + rng.logistic(0, 0.5)
        ranks = (1, 1) if abs(seen) < 0.1 else (1, 2) if seen > 0 else (2, 1)
        found.append(
            Preference(
                id=f"v{number}",
                prompt=(Message.of("user", f"question {number // 2}"),),
                replies=tuple(f"{'x' * int(rng.integers(1, 30))} {value:.6f}" for value in worth),
                ranks=ranks,
                models=(a, b),
                labels={"hard_prompt": str(number % 3 == 0).lower()},
                language="Greek" if number % 2 else "Latin",
            )
        )
    return found


def samples(prompts: int = 60, size: int = 8, seed: int = 0, domain: str = "sums") -> list[Samples]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(prompts):
        worth = rng.normal(0, 1, size)
        right = rng.random(size) < 1 / (1 + np.exp(-2 * worth - rng.normal()))
        replies = tuple(f"{'x' * int(rng.integers(1, 30))} {value:.6f}" for value in worth)
        asked = (Message.of("user", f"sum {number}"),)
        found.append(Samples(f"q{number}", f"q{number}", asked, replies, tuple(map(bool, right)), domain))
    return found


@pytest.fixture(scope="module")
def found() -> ProxyEvaluation:
    proxies = [ScoringFunction("quality", quality), ScoringFunction("length", length)]
    both = [*samples(), *samples(seed=1, domain="more")]
    return evaluate(proxies, QUICK, maker=bradley_terry_board, human=votes(), samples=both)


def test_accuracy_leaves_ties_out_or_counts_them_half(found: ProxyEvaluation) -> None:
    rows = votes()
    worth = [quality(None, one.replies) for one in rows]
    decided = [
        (one.ranks[0] < one.ranks[1]) == (a > b) for one, (a, b) in zip(rows, worth, strict=True) if not one.is_tie
    ]
    ties = len(rows) - len(decided)
    plain = found.value("human", "overall", "accuracy", "quality")
    assert (plain.value, plain.count) == (pytest.approx(np.mean(decided)), len(decided))
    half = found.value("human", "overall", "accuracy_with_ties", "quality").value
    assert half == pytest.approx((sum(decided) + ties / 2) / len(rows))
    assert ties > 10


def test_row_pearson_is_numpys_row_by_row(found: ProxyEvaluation) -> None:
    names = list(STRENGTHS)
    tables = np.zeros((3, 5, 5))
    for one in votes():
        a, b = (names.index(str(name)) for name in one.models)
        scores = (1 + np.sign(one.ranks[1] - one.ranks[0])) / 2, float(np.greater(*quality(None, one.replies)))
        for table, score in zip(tables[:2], scores, strict=True):
            table[a, b] += score
            table[b, a] += 1 - score
        tables[2][[a, b], [b, a]] += 1
    rates = tables[:2] / np.where(tables[2] > 0, tables[2], np.nan)
    others = ~np.eye(5, dtype=bool)
    expected = np.mean([pearsonr(rates[0, i][others[i]], rates[1, i][others[i]])[0] for i in range(5)])
    assert found.value("human", "overall", "row_pearson", "quality").value == pytest.approx(expected)


def test_boards_of_choices_correlate_as_scipy_says(found: ProxyEvaluation) -> None:
    from palaestra.rewards.ppe.human import choices_of, human_votes

    laid = human_votes(votes())
    every = np.ones(len(laid.score_B), dtype=bool)
    worth = np.array([length(None, one.replies) for one in votes()])
    boards = [laid.ballots(scores, every) for scores in (laid.score_B, choices_of(worth[:, 0], worth[:, 1]))]
    people, proxy = (bradley_terry_board(one, rounds=50, seed=0) for one in boards if one is not None)
    assert found.value("human", "overall", "kendall", "length").value == pytest.approx(
        kendalltau(people.score_M, proxy.score_M)[0]
    )
    assert found.value("human", "overall", "spearman", "length").value == pytest.approx(
        spearmanr(people.score_M, proxy.score_M)[0]
    )


def test_rounds_of_boards_are_the_same_prompts_whatever_the_scores() -> None:
    from palaestra.rewards.ppe.human import human_votes

    laid = human_votes(votes())
    ballots = laid.ballots(laid.score_B, np.ones(len(laid.score_B), dtype=bool))
    assert ballots is not None
    one, mirrored = (
        bradley_terry_board(each, rounds=50, seed=3)
        for each in (ballots, ballots._replace(score_B=1 - ballots.score_B))
    )
    assert mirrored.draws_RM == pytest.approx(-one.draws_RM, abs=1e-3)
    assert one.score_M == pytest.approx(one.draws_RM.mean(axis=0), abs=40)


def test_what_is_worth_more_is_the_better_proxy_with_an_interval_that_says_so(found: ProxyEvaluation) -> None:
    for side, domain in (("human", "overall"), ("human", "hard"), ("correctness", "sums"), ("correctness", "mean")):
        gap = found.value(side, domain, "accuracy", "length")
        assert gap.gap is not None
        assert gap.gap_upper is not None
        assert gap.gap_upper < 0
        assert gap.gap == pytest.approx(
            (gap.value or 0) - (found.value(side, domain, "accuracy", "quality").value or 0)
        )


def test_views_are_there_by_label_and_language(found: ProxyEvaluation) -> None:
    domains = {one.domain for one in found.figures if one.side == "human"}
    assert domains == {"overall", "hard", "language Greek", "language Latin"}
    for one in found.figures:
        if one.value is not None and one.lower is not None and one.upper is not None:
            assert one.lower <= one.value <= one.upper


def test_curves_stand_below_the_oracles_and_the_mean_domain_is_the_mean(found: ProxyEvaluation) -> None:
    curves = {(one.domain, one.proxy): np.array(one.value) for one in found.curves}
    assert (curves["sums", "oracle"] >= curves["sums", "quality"] - 1e-12).all()
    assert curves["mean", "quality"] == pytest.approx((curves["sums", "quality"] + curves["more", "quality"]) / 2)
    loss = found.value("correctness", "sums", "loss", "quality").value
    assert loss == pytest.approx(np.mean((curves["sums", "oracle"] - curves["sums", "quality"]) ** 2))
    assert found.value("correctness", "sums", "end_score", "quality").value == pytest.approx(
        curves["sums", "quality"][-1]
    )
    assert found.value("correctness", "sums", "max_score", "quality").value == pytest.approx(
        curves["sums", "quality"].max()
    )


def test_intervals_hold_what_all_prompts_say_as_often_as_they_claim() -> None:
    truth = {name: each[0] for name, each in _outcome(samples(20_000, seed=99)).items()}
    inside = dict.fromkeys(truth, 0)
    for seed in range(80):
        for name, rounds in _outcome(samples(60, seed=seed), 200).items():
            from palaestra.stats.quality import recentred

            low, high = recentred(float(rounds[0]), rounds[1:], 0.95, signed=False)
            inside[name] += low <= truth[name] <= high
    assert all(70 <= inside[name] <= 80 for name in ("accuracy", "auc", "end_score")), inside


def _outcome(rows: list[Samples], rounds: int = 1) -> dict[str, np.ndarray]:
    [domain] = domains_of(rows, rounds, 0)
    scores = [score for one in rows for score in quality(None, one.replies)]
    return scored_outcome(domain, np.array(scores)).metrics


def test_a_proxy_that_prefers_the_first_is_no_better_than_a_coin() -> None:
    first = ComparingFunction("first", always_first)
    found = evaluate([first], QUICK, maker=bradley_terry_board, human=votes(100), samples=samples(20))
    assert found.value("human", "overall", "accuracy", "first").value == 0.5
    assert found.value("correctness", "sums", "accuracy", "first").value == 0.5
    assert not any(one.proxy == "first" for one in found.curves)


def test_comparing_and_scoring_by_the_same_measure_agree() -> None:
    proxies = [ScoringFunction("one", length), ComparingFunction("other", longer)]
    found = evaluate(proxies, QUICK, maker=bradley_terry_board, samples=samples(30))
    one, other = (found.value("correctness", "sums", "accuracy", name).value for name in ("one", "other"))
    assert one == pytest.approx(other)


def _pairs(subsets: dict[str, tuple[int, int]]) -> list[Preference]:
    """Pairs of subsets, so many of them with a longer better reply."""
    return [
        Preference(
            id=f"{subset}-{number}", prompt=(Message.of("user", f"{subset} {number}?"),), category=subset, ranks=(1, 2),
            replies=("long one", "short") if number < right else ("short", "long one"),
        )
        for subset, (right, count) in subsets.items()
        for number in range(count)
    ]  # fmt: skip


def test_reward_bench_is_summed_up_as_published() -> None:
    subsets = {name: (3, 4) for inside in SECTIONS.values() for name in inside}
    subsets |= {"alpacaeval-easy": (0, 20), "math-prm": (2, 2)}
    bench = bench_of("rb", "pairs", _pairs(subsets))
    found = evaluate([ScoringFunction("length", length)], QUICK, maker=bradley_terry_board, benches=[bench])
    of = {one.domain: one.value for one in found.figures}
    assert of["rb: Chat"] == pytest.approx(12 / 36)
    assert of["rb: Reasoning"] == pytest.approx((1 + 0.75) / 2)
    assert of["rb: score"] == pytest.approx((12 / 36 + 0.75 + 0.75 + 0.875) / 4)
    perfect = next(one for one in found.figures if one.domain == "rb: math-prm")
    assert perfect.value == 1
    assert perfect.lower is not None
    assert perfect.lower < 1


def test_rm_bench_has_nine_pairs_an_item_by_style(tmp_path: Path) -> None:
    item = {"subset": "chat", "prompt": "?", "chosen": ["aa", "aaa", "aaaa"], "rejected": ["b", "bbb", "bbbbb"]}
    write_lines(tmp_path / "rm.jsonl", [item | {"id": 1}, item | {"id": 2, "prompt": "??"}])
    bench = bench_of("rm", "rm-bench", read_preferences(tmp_path / "rm.jsonl").preferences)
    found = evaluate([ScoringFunction("length", length)], QUICK, maker=bradley_terry_board, benches=[bench])
    of = {one.domain: one.value for one in found.figures}
    assert of["rm: easy"] == 1.0
    assert of["rm: normal"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert of["rm: hard"] == 0.0
    assert of["rm: score"] == pytest.approx(0.5)


def test_both_orders_are_reported_of_who_compares() -> None:
    bench = bench_of("b", "llmbar", _pairs({"x": (3, 5)}))
    found = evaluate([ComparingFunction("first", always_first)], QUICK, maker=bradley_terry_board, benches=[bench])
    of = {one.metric: one.value for one in found.figures}
    assert of == {"accuracy": 0.5, "right_in_both_orders": 0.0, "same_in_both_orders": 0.0}


def test_best_of_k_files_are_read_as_published_and_long_tables_too(tmp_path: Path) -> None:
    row = {
        "question_id": "7",
        "model_name": "m",
        "prompt": "2+2?",
        "response_1": "4",
        "response_2": "5",
        "response_10": "4",
    }
    wide = tmp_path / "PPE-MATH-Best-of-K.jsonl"
    write_lines(wide, [row | {"scores": [True, False, True], "sampled_conflict_pairs": [[0, 1]]}])
    [one] = read_samples(wide)
    assert (one.domain, one.replies, one.right, one.pairs) == ("MATH", ("4", "5", "4"), (True, False, True), ((0, 1),))
    long = tmp_path / "mine.csv"
    long.write_text("question_id,prompt,response,correct,domain\n7,2+2?,4,1,sums\n7,2+2?,5,0,sums\n")
    [other] = read_samples(long)
    assert (other.domain, other.replies, other.right) == ("sums", ("4", "5"), (True, False))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scores": [True]}, "2 responses and 1 scores"),
        ({"scores": [True, 0.5]}, "correctness 0.5"),
        ({"sampled_conflict_pairs": [[0, 0]]}, "a right and a wrong"),
        ({"prompt": " "}, "what was asked"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    row = {"question_id": "7", "prompt": "2+2?", "response_1": "4", "response_2": "5", "scores": [True, False]}
    write_lines(tmp_path / "x.jsonl", [row, row | change])
    with pytest.raises(InputError, match=rf"row 2: .*{said}"):
        read_samples(tmp_path / "x.jsonl")


def test_answers_that_are_none_are_refused() -> None:
    for values in ([float("nan")] * 8, [1.0]):
        with pytest.raises(InputError, match="expected a finite score"):
            evaluate(
                [ScoringFunction("bad", lambda _p, _r, v=values: v)], maker=bradley_terry_board, samples=samples(1, 8)
            )
    with pytest.raises(InputError, match="arguments"):
        function_proxy("x", "math:sin")
    with pytest.raises(InputError, match="no function"):
        function_proxy("x", "math:nothing")


def test_answers_are_kept_and_not_asked_again(tmp_path: Path) -> None:
    asked = []

    def counting(prompts, replies):  # noqa: ANN001, ANN202 - as a user writes it
        asked.append(len(prompts))
        return length(prompts, replies)

    first, second = (
        evaluate([ScoringFunction("n", counting)], QUICK, maker=bradley_terry_board, samples=samples(), keep=tmp_path)
        for _ in range(2)
    )
    assert sum(asked) == 480
    assert first == second


def test_a_judges_run_is_a_proxy(tmp_path: Path) -> None:
    rows = [{"question_id": "v0", "model_a": "ant", "model_b": "dog", "label": "B>A"}]
    write_lines(tmp_path / "verdicts.jsonl", rows)
    one = Preference(
        id="v0", prompt=(Message.of("user", "?"),), replies=("a", "b"), ranks=(1, 2), models=("dog", "ant")
    )
    from palaestra.rewards.ppe.human import human_votes
    from palaestra.rewards.ppe.proxies import Reply

    proxy = VerdictProxy("judge", tmp_path / "verdicts.jsonl")
    pairs = human_votes([one]).pairs
    assert proxy.chances(pairs)[0] == 1.0
    with pytest.raises(InputError, match="no verdict on"):
        proxy.chances([Pair(Reply("v1", 1, one.prompt, "a", "dog"), Reply("v1", 2, one.prompt, "b", "ant"))])


def test_correlation_with_the_outcome_is_scipys_and_less_is_better_turns() -> None:
    rng = np.random.default_rng(0)
    values, scores = rng.random((2, 9))
    rows = [
        Figure(side="human", domain="overall", metric="brier", proxy=f"r{i}", value=v, lower=0, upper=1, count=9)
        for i, v in enumerate(values)
    ]
    [one] = foretold(rows, {"later": {f"r{i}": float(score) for i, score in enumerate(scores)}})
    assert one.pearson == pytest.approx(-pearsonr(values, scores)[0])
    assert one.spearman == pytest.approx(-spearmanr(values, scores)[0])
    assert one.pearson_lower is not None
    assert one.pearson_upper is not None
    assert one.pearson_lower < -pearsonr(values, scores)[0] < one.pearson_upper
    with pytest.raises(InputError, match="at least 4"):
        foretold(rows, {"later": {"r1": 1.0}})


def test_the_command_gives_figures_and_a_page(tmp_path: Path) -> None:
    long = [
        {
            "question_id": one.id,
            "prompt": one.prompt[0].text,
            "response": reply,
            "correct": int(right),
            "domain": "sums",
        }
        for one in samples(20)
        for reply, right in zip(one.replies, one.right, strict=True)
    ]
    write_lines(tmp_path / "long.jsonl", long)
    write_lines(
        tmp_path / "scores.jsonl", [{"id": one.id, "scores": quality(None, one.replies)} for one in samples(20)]
    )
    out = tmp_path / "out.json"
    code = run(
        ["reward", "ppe", f"mine=by-id:{tmp_path / 'scores.jsonl'}", "rule:length", "--correctness",
         str(tmp_path / "long.jsonl"), "--rounds", "100", "--json", str(out), "--html", str(tmp_path / "page.html")]
    )  # fmt: skip
    assert code == 0
    said = json.loads(out.read_text())
    assert said["schema"] == "palaestra.proxy-evaluation/1"
    assert {one["proxy"] for one in said["figures"]} == {"mine", "rule:length"}
    page = (tmp_path / "page.html").read_text()
    assert "The best of K" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert run(["reward", "ppe", "rule:length"]) == 2


def test_downstream_results_are_means_over_seeds_and_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"a": 1.0, "b": 0.6, "c": -0.6, "d": -1.0}
    rng = np.random.default_rng(0)
    for name, sign in named.items():
        write_lines(
            tmp_path / f"{name}.jsonl",
            [{"id": one.id, "scores": [sign * each + rng.normal(0, 0.5) for each in one.right]} for one in samples(20)],
        )
    rows = [{"reward": name, "seed": seed, "score": sign + seed} for name, sign in named.items() for seed in (-1, 1)]
    write_lines(tmp_path / "results.jsonl", rows)
    assert read_results(tmp_path / "results.jsonl") == {"downstream": pytest.approx(named)}
    write_lines(
        tmp_path / "long.jsonl",
        [
            {"question_id": one.id, "prompt": "?", "response": reply, "correct": int(right)}
            for one in samples(20)
            for reply, right in zip(one.replies, one.right, strict=True)
        ],
    )
    proxies = [f"{name}=by-id:{tmp_path / name}.jsonl" for name in named]
    ask = ["reward", "ppe", *proxies, "--correctness", str(tmp_path / "long.jsonl"), "--rounds", "100"]
    assert run([*ask, "--downstream", str(tmp_path / "results.jsonl")]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "downstream" in line and " auc " in line]
    assert "+1.00" in line
    write_lines(tmp_path / "results.jsonl", [*rows, rows[0]])
    with pytest.raises(InputError, match="row 9: found 'a'"):
        read_results(tmp_path / "results.jsonl")
