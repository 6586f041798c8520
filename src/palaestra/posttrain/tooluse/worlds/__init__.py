"""The toy worlds, by name. Each is a file: its state, its tools, its tasks."""

from palaestra.posttrain.tooluse.world import World
from palaestra.posttrain.tooluse.worlds.bank import BANK
from palaestra.posttrain.tooluse.worlds.calendar import CALENDAR
from palaestra.posttrain.tooluse.worlds.files import FILES
from palaestra.posttrain.tooluse.worlds.knowledge import KNOWLEDGE
from palaestra.posttrain.tooluse.worlds.shop import SHOP
from palaestra.posttrain.tooluse.worlds.texts import TEXTS
from palaestra.posttrain.tooluse.worlds.tickets import TICKETS
from palaestra.posttrain.tooluse.worlds.units import UNITS

WORLDS: dict[str, World] = {
    world.name: world for world in (BANK, CALENDAR, FILES, KNOWLEDGE, SHOP, TEXTS, TICKETS, UNITS)
}
