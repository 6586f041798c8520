"""The command line: `palaestra ROOM VERB`.

One file a room; commands are named as strings and imported only when called, so that `--help` loads neither a web
framework nor a model. A value comes from the flag, else from `palaestra.toml` (a table `[ROOM.VERB]`), else from the
environment (`PALAESTRA_ROOM_VERB_FLAG`). Exit codes: 0 done; 1 ran, and what was asked for does not hold; 2 bad usage
or bad input; 3 a needed part is missing; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts

from palaestra import __version__
from palaestra.console import complain
from palaestra.errors import PalaestraError

_USAGE = 2
_INTERRUPTED = 130

app = cyclopts.App(
    name="palaestra",
    help="Where language models compete and train.",
    version=__version__,
    config=[
        cyclopts.config.Toml("palaestra.toml", search_parents=True, must_exist=False),
        cyclopts.config.Env("PALAESTRA_", command=True),
    ],
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)

arena = cyclopts.App(name="arena", help="People compare models blindly, and vote.")
arena.command("palaestra.cli.arena:serve")
arena.command("palaestra.cli.arena:export")

rank = cyclopts.App(name="rank", help="Votes become leaderboards.")
rank.command("palaestra.cli.rank:fit")
rank.command("palaestra.cli.rank:compare")
rank.command("palaestra.cli.next_pair:next_pairs", name="next")
rank.command("palaestra.cli.rank:fraud")
rank.command("palaestra.cli.rank:robustness")
rank.command("palaestra.cli.rank:history")
rank.command("palaestra.cli.mpg:mpg")
rank.command("palaestra.cli.rank:person")
rank.command("palaestra.cli.rank:elo")

bench = cyclopts.App(name="bench", help="Prompts become benchmarks.")
bench.command("palaestra.cli.bench:build")
bench.command("palaestra.cli.bench:show")
bench.command("palaestra.cli.bench_export:export")

judge = cyclopts.App(name="judge", help="Judges compare answers; what their verdicts are worth.")
judge.command("palaestra.cli.judge_run:run")
judge.command("palaestra.cli.judge_board:board")
judge.command("palaestra.cli.judge_agreement:agreement")
judge.command("palaestra.cli.judge_agreement:value")
judge.command("palaestra.cli.judge_agreement:subset")
judge.command("palaestra.cli.judge_read:read")
judge.command("palaestra.cli.judge_audit:audit")
judge.command("palaestra.cli.judge_audit:calibrate")
judge.command("palaestra.cli.judge_audit:plant")
judge.command("palaestra.cli.judge_forecast:forecast")
judge.command("palaestra.cli.judge_forecast:backtest")
judge.command("palaestra.cli.judge_formats:alpaca")
judge.command("palaestra.cli.judge_formats:grades")

reward = cyclopts.App(name="reward", help="Preferences become rewards.")
reward.command("palaestra.cli.reward_train:train")
reward.command("palaestra.cli.reward_score:score")
reward.command("palaestra.cli.reward_serve:serve")
reward.command("palaestra.cli.reward_ppe:ppe")

p2l = cyclopts.App(name="p2l", help="A leaderboard for every prompt, and a router that reads it.")
p2l.command("palaestra.cli.p2l_train:train")
p2l.command("palaestra.cli.p2l_board:board")
p2l.command("palaestra.cli.p2l_evaluate:evaluate")
p2l.command("palaestra.cli.p2l_add:add")
p2l.command("palaestra.cli.p2l_route:route")
p2l.command("palaestra.cli.p2l_serve:serve")

train = cyclopts.App(name="train", help="Models are taught, merged and distilled.")
train.command("palaestra.cli.train_distill:distill")
train.command("palaestra.cli.train_merge:merge")
train.command("palaestra.cli.train_rl:rl")
train.command("palaestra.cli.train_frontier:frontier")
train.command("palaestra.cli.train_sft:sft")
train.command("palaestra.cli.train_data:data")
train.command("palaestra.cli.train_mixture:mixture")
train.command("palaestra.cli.train_experts:experts")
train.command("palaestra.cli.train_tools:tools")

models = cyclopts.App(name="models", help="The contestants of a models.toml.")
models.command("palaestra.cli.models:list_models", name="list")
models.command("palaestra.cli.models:check")
models.command("palaestra.cli.models:add")
models.command("palaestra.cli.models:serve")

runs = cyclopts.App(name="run", help="What was run, how it went, and how it goes.")
runs.command("palaestra.cli.run_show:list_runs", name="list")
runs.command("palaestra.cli.run_show:show")
runs.command("palaestra.cli.run_watch:watch")

for room in (arena, rank, bench, judge, reward, p2l, train, models, runs):
    app.command(room)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every expected failure is one clear message on standard error."""
    try:
        result = app(arguments)
    except PalaestraError as error:
        complain(str(error))
        return error.exit_code
    except cyclopts.CycloptsError as error:
        complain(_in_one_line(error))
        return _USAGE
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    return result if isinstance(result, int) else 0


def _in_one_line(error: cyclopts.CycloptsError) -> str:
    """What is wrong with a command line; of a config that does not hold, each field and why."""
    cause = error.__cause__ or error.__context__
    if not isinstance(cause, ValueError) or not callable(faults := getattr(cause, "errors", None)):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: found {one['input']!r}: {one['msg']}" for one in faults())


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
