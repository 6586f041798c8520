"""A bank: accounts with an owner, a kind, a balance and a limit."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import PEOPLE

Account = Annotated[str, Field(description="number of an account, as A-4711")]
Kind = Literal["checking", "savings"]
Amount = Annotated[int, Field(ge=1, le=1_000_000, description="whole crowns")]


def _start(rng: Random) -> State:
    owners = rng.sample(PEOPLE, 3)
    numbers = rng.sample(range(1000, 9999), 6)
    kinds = [(owner, kind) for owner in owners for kind in ("checking", "savings")]
    accounts = {
        f"A-{number}": {"owner": owner, "kind": kind, "balance": rng.randint(300, 990), "limit": 100}
        for number, (owner, kind) in zip(numbers, kinds, strict=True)
    }
    return {"accounts": accounts}


def _account(state: State, account: str) -> dict[str, Any]:
    if account not in state["accounts"]:
        raise ToolError(f"there is no account {account!r}")
    return state["accounts"][account]


@tool
def find_account(state: State, *, owner: str, kind: Kind) -> Result:
    """Find the number of an account by its owner and kind."""
    for account, each in state["accounts"].items():
        if (each["owner"], each["kind"]) == (owner, kind):
            return {"account": account}
    raise ToolError(f"{owner!r} has no {kind} account")


@tool
def account_balance(state: State, *, account: Account) -> Result:
    """Tell the balance of an account."""
    return {"balance": _account(state, account)["balance"]}


@tool
def transfer(state: State, *, account: Account, target: Account, amount: Amount) -> Result:
    """Transfer money from an account to a target account."""
    source, goal = _account(state, account), _account(state, target)
    if account == target:
        raise ToolError("an account cannot pay to itself")
    if source["balance"] < amount:
        raise ToolError(f"the balance of {account} is {source['balance']}, less than {amount}")
    source["balance"] -= amount
    goal["balance"] += amount
    return {"transferred": amount}


@tool
def set_limit(state: State, *, account: Account, limit: Amount) -> Result:
    """Set the limit of an account for a day."""
    _account(state, account)["limit"] = limit
    return {"set": account}


@tool
def close_account(state: State, *, account: Account) -> Result:
    """Close an account, which must be empty."""
    if _account(state, account)["balance"]:
        raise ToolError(f"{account} is not empty")
    del state["accounts"][account]
    return {"closed": account}


def _owners(rng: Random, state: State, count: int) -> list[str]:
    return rng.sample(sorted({each["owner"] for each in state["accounts"].values()}), count)


def _kind(rng: Random) -> str:
    return rng.choice(("checking", "savings"))


def _balance(rng: Random, state: State, call: Call) -> Drawn:
    (owner,), kind = _owners(rng, state, 1), _kind(rng)
    call(account_balance, account=call(find_account, owner=owner, kind=kind)["account"])
    return Drawn({"owner": owner, "kind": kind}, "balance")


def _pay(rng: Random, state: State, call: Call) -> Drawn:
    (owner, owner_2), amount = _owners(rng, state, 2), rng.randint(10, 250)
    kind, kind_2 = _kind(rng), _kind(rng)
    source = call(find_account, owner=owner, kind=kind)["account"]
    target = call(find_account, owner=owner_2, kind=kind_2)["account"]
    call(transfer, account=source, target=target, amount=amount)
    return Drawn({"owner": owner, "kind": kind, "owner_2": owner_2, "kind_2": kind_2, "amount": amount})


def _limit(rng: Random, state: State, call: Call) -> Drawn:
    (owner,), kind, limit = _owners(rng, state, 1), _kind(rng), rng.randrange(150, 900, 50)
    call(set_limit, account=call(find_account, owner=owner, kind=kind)["account"], limit=limit)
    return Drawn({"owner": owner, "kind": kind, "limit": limit})


def _all_money(rng: Random, state: State, call: Call) -> Drawn:
    (owner,) = _owners(rng, state, 1)
    source = call(find_account, owner=owner, kind="savings")["account"]
    target = call(find_account, owner=owner, kind="checking")["account"]
    call(transfer, account=source, target=target, amount=call(account_balance, account=source)["balance"])
    return Drawn({"owner": owner})


def _close(rng: Random, state: State, call: Call) -> Drawn:
    drawn = _all_money(rng, state, call)
    source = next(
        account
        for account, each in state["accounts"].items()
        if (each["owner"], each["kind"]) == (drawn.slots["owner"], "savings")
    )
    call(close_account, account=source)
    return drawn


BANK = World(
    "bank",
    "the accounts of a bank",
    (find_account, account_balance, transfer, set_limit, close_account),
    _start,
    (
        Template("balance", (
            "What is the balance of the {kind} account of {owner}?",
            "How much money is in the {kind} account of {owner}?",
            "{owner} wants to know the balance of the {kind} account.",
        ), _balance),
        Template("pay", (
            "Transfer {amount} crowns from the {kind} account of {owner} to the {kind_2} account of {owner_2}.",
            "{owner} pays {owner_2} {amount} crowns, from {kind} to {kind_2}. Please make the transfer.",
            "Send {amount} crowns to the {kind_2} account of {owner_2}; take them from {owner}, {kind}.",
        ), _pay),
        Template("limit", (
            "Set the limit of the {kind} account of {owner} to {limit}.",
            "{owner} needs a limit of {limit} crowns on the {kind} account.",
            "Change the daily limit of {owner}'s {kind} account: {limit} crowns.",
        ), _limit),
        Template("all_money", (
            "Transfer all the money from the savings account of {owner} to the checking account of {owner}.",
            "{owner} wants the whole of the savings in the checking account.",
            "Empty {owner}'s savings account into {owner}'s checking account.",
        ), _all_money),
        Template("close", (
            "Close the savings account of {owner}; what is in it goes to the checking account of {owner}.",
            "{owner} gives up the savings account. Move the money to checking and close it.",
            "Move all savings of {owner} to the checking account, then close the savings account.",
        ), _close),
    ),
    aliases={
        "owner": ("owner", "owner_2"), "target": ("account",), "amount": ("amount", "balance"),
        "limit": ("limit", "balance"),
    },
)  # fmt: skip
