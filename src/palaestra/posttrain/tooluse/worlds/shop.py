"""A shop: items with a price and a stock, one cart, orders."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import THINGS

Item = Annotated[str, Field(description="number of an item, as I-204")]
Quantity = Annotated[int, Field(ge=1, le=99)]


def _start(rng: Random) -> State:
    numbers = rng.sample(range(100, 999), 5)
    items = {
        f"I-{number}": {"name": name, "price": rng.randint(101, 499), "stock": rng.randint(10, 60)}
        for number, name in zip(numbers, rng.sample(THINGS, 5), strict=True)
    }
    return {"items": items, "cart": {}, "orders": []}


def _item(state: State, item: str) -> dict[str, Any]:
    if item not in state["items"]:
        raise ToolError(f"there is no item {item!r}")
    return state["items"][item]


def _total(state: State) -> int:
    return sum(state["items"][item]["price"] * quantity for item, quantity in state["cart"].items())


@tool
def find_item(state: State, *, name: str) -> Result:
    """Find an item of the shop by its name: its number."""
    for item, each in state["items"].items():
        if each["name"] == name:
            return {"item": item}
    raise ToolError(f"the shop has no {name!r}")


@tool
def item_price(state: State, *, item: Item) -> Result:
    """Tell the price of an item."""
    return {"price": _item(state, item)["price"]}


@tool
def item_stock(state: State, *, item: Item) -> Result:
    """Tell how many of an item are in stock."""
    return {"stock": _item(state, item)["stock"]}


@tool
def add_to_cart(state: State, *, item: Item, quantity: Quantity) -> Result:
    """Put so many of an item into the cart."""
    held = state["cart"].get(item, 0) + quantity
    if held > _item(state, item)["stock"]:
        raise ToolError(f"only {state['items'][item]['stock']} of {item} are in stock")
    state["cart"][item] = held
    return {"in_cart": held}


@tool
def cart_total(state: State) -> Result:
    """Tell what everything in the cart costs."""
    return {"total": _total(state)}


@tool
def checkout(state: State) -> Result:
    """Order what is in the cart."""
    if not state["cart"]:
        raise ToolError("the cart is empty")
    for item, quantity in state["cart"].items():
        state["items"][item]["stock"] -= quantity
    state["orders"].append({"items": dict(sorted(state["cart"].items())), "total": _total(state)})
    state["cart"] = {}
    return {"order": len(state["orders"])}


@tool
def restock(state: State, *, item: Item, quantity: Quantity) -> Result:
    """Add so many of an item to the stock."""
    _item(state, item)["stock"] += quantity
    return {"added": quantity}


def _names(rng: Random, state: State, count: int) -> list[str]:
    return rng.sample([each["name"] for each in state["items"].values()], count)


def _price(rng: Random, state: State, call: Call) -> Drawn:
    (name,) = _names(rng, state, 1)
    call(item_price, item=call(find_item, name=name)["item"])
    return Drawn({"name": name}, "price")


def _stock(rng: Random, state: State, call: Call) -> Drawn:
    (name,) = _names(rng, state, 1)
    call(item_stock, item=call(find_item, name=name)["item"])
    return Drawn({"name": name}, "stock")


def _order(rng: Random, state: State, call: Call) -> Drawn:
    (name,), quantity = _names(rng, state, 1), rng.randint(2, 9)
    call(add_to_cart, item=call(find_item, name=name)["item"], quantity=quantity)
    call(checkout)
    return Drawn({"name": name, "quantity": quantity})


def _order_two(rng: Random, state: State, call: Call) -> Drawn:
    names, quantities = _names(rng, state, 2), rng.sample(range(2, 10), 2)
    for name, quantity in zip(names, quantities, strict=True):
        call(add_to_cart, item=call(find_item, name=name)["item"], quantity=quantity)
    call(checkout)
    return Drawn({"name": names[0], "quantity": quantities[0], "name_2": names[1], "quantity_2": quantities[1]})


def _cart(rng: Random, state: State, call: Call) -> Drawn:
    (name,), quantity = _names(rng, state, 1), rng.randint(2, 9)
    call(add_to_cart, item=call(find_item, name=name)["item"], quantity=quantity)
    call(cart_total)
    return Drawn({"name": name, "quantity": quantity}, "total")


def _restock(rng: Random, state: State, call: Call) -> Drawn:
    (name,), quantity = _names(rng, state, 1), rng.randint(2, 40)
    call(restock, item=call(find_item, name=name)["item"], quantity=quantity)
    return Drawn({"name": name, "quantity": quantity})


SHOP = World(
    "shop",
    "a shop with a cart and a stock",
    (find_item, item_price, item_stock, add_to_cart, cart_total, checkout, restock),
    _start,
    (
        Template("price", (
            'What does one "{name}" cost?',
            'Tell me the price of the item "{name}".',
            'How much do I pay for a "{name}"?',
        ), _price),
        Template("stock", (
            'How many of the item "{name}" are in stock?',
            'What is the stock of "{name}"?',
            'Count what is left of "{name}".',
        ), _stock),
        Template("order", (
            'Order {quantity} of the item "{name}".',
            'I want to buy {quantity} times "{name}". Please order them.',
            'Please buy "{name}", {quantity} of them.',
        ), _order),
        Template("order_two", (
            'Order {quantity} of "{name}" and {quantity_2} of "{name_2}" together.',
            'One order, please: "{name}" ({quantity}) and "{name_2}" ({quantity_2}).',
            'Please buy {quantity} times "{name}" and {quantity_2} times "{name_2}" in one order.',
        ), _order_two),
        Template("cart", (
            'Put {quantity} of "{name}" into the cart and tell me the total, but do not order yet.',
            'Add "{name}" to the cart, {quantity} of them. What does the cart cost then? Do not order.',
            'Without ordering: put {quantity} times "{name}" into the cart. What is the total?',
        ), _cart),
        Template("restock", (
            '{quantity} more of "{name}" have come. Add them to the stock.',
            'Restock "{name}" by {quantity}.',
            'Please raise the stock of "{name}" by {quantity}.',
        ), _restock),
    ),
    aliases={"name": ("name", "name_2"), "quantity": ("quantity", "quantity_2")},
)  # fmt: skip
