"""Tasks with tools that can be checked: on one screen, with the standard library alone.

A world is a state and tools that change it. A task is a start, a request, and a goal that a known program reaches. The
fewest calls are found by search, over calls that a solver could know to make: a value is known from the request or from
a result before. Whoever claims to have done the task is run again, and only the state at the end counts.

    palaestra train tools --model NAME --out RUN        eight worlds, held-out tools, data for SFT and RL

Run it: `python tutorials/114_tool_tasks.py`. It takes a second.
"""

import itertools
import random

State = dict[str, tuple[str, int]]  # account -> owner and balance


def find(state: State, owner: str) -> tuple[State, list[str | int]]:
    """The account of an owner."""
    return state, [account for account, (of, _) in state.items() if of == owner]


def balance(state: State, account: str) -> tuple[State, list[str | int]]:
    """What is in an account."""
    return state, [state[account][1]]


def pay(state: State, source: str, target: str, amount: int) -> tuple[State, list[str | int]]:
    """Money from one account to another; a tool says no by raising, which changes nothing."""
    (giver, has), (taker, had) = state[source], state[target]
    if source == target or not 0 < amount <= has:
        raise ValueError(amount)
    return {**state, source: (giver, has - amount), target: (taker, had + amount)}, []


TOOLS = {"find": (find, 1), "balance": (balance, 1), "pay": (pay, 3)}


def run(state: State, calls: list[tuple]) -> State:
    """The state after some calls; one that fails changes nothing."""
    for name, *arguments in calls:
        try:
            state = TOOLS[name][0](state, *arguments)[0]
        except (KeyError, TypeError, ValueError):
            continue
    return state


def fewest(state: State, goal: State, words: frozenset, tools: list[str], most: int = 4) -> int | None:
    """Breadth first over calls whose arguments are known."""
    level: set = {(tuple(sorted(state.items())), words)}
    seen: set = set()
    for depth in range(1, most + 1):
        following = set()
        for at, known in level:
            for name in tools:
                for arguments in itertools.product(known, repeat=TOOLS[name][1]):
                    try:
                        after, told = TOOLS[name][0](dict(at), *arguments)
                    except (KeyError, TypeError, ValueError):
                        continue
                    if after == goal:
                        return depth
                    following.add((tuple(sorted(after.items())), known | set(told)))
        seen |= level
        level = following - seen
    return None


rng = random.Random(0)  # noqa: S311 - chance, no secret
heads = ("request", "fewest", "solution", "one less", "one more", "wrong amount", "without find")
print("{:30} {:>6}  {:10}  {:10}  {:10}  {:12}  {}".format(*heads))
for _ in range(4):
    names, numbers = rng.sample(["Ada", "Bela", "Chen", "Dora"], 3), rng.sample(range(10, 99), 3)
    start = {f"A-{number}": (name, rng.randint(20, 90)) for name, number in zip(names, numbers, strict=True)}
    giver, taker, *_ = start
    amount = rng.randint(1, 9)
    everything = rng.random() < 0.5
    sum_ = start[giver][1] if everything else amount
    calls = [("find", names[0]), ("find", names[1]), ("pay", giver, taker, sum_)]
    if everything:
        calls.insert(2, ("balance", giver))
    goal = run(start, calls)
    request = f"{names[0]} pays {names[1]} {'all the money' if everything else f'{amount} crowns'}."
    words = frozenset(names[:2]) | (frozenset() if everything else {amount})
    least = fewest(start, goal, words, list(TOOLS))
    tried = [calls, calls[:-1], [*calls, calls[0]], [*calls[:-1], ("pay", giver, taker, sum_ - 1)]]
    verdicts = [run(start, one) == goal for one in tried]
    economical = [ok and len(one) <= least for ok, one in zip(verdicts, tried, strict=True)]
    both = zip(verdicts, economical, strict=True)
    marks = ["economical" if thrifty else "right" if ok else "wrong" for ok, thrifty in both]
    hopeless = fewest(start, goal, words, ["balance", "pay"])
    row = (request, least, *marks, "cannot" if hopeless is None else "can")
    print("{:30} {:>6}  {:10}  {:10}  {:10}  {:12}  {}".format(*row))
