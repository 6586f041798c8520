"""Names that the worlds are furnished with."""

PEOPLE = ("Ada", "Bela", "Chen", "Dora", "Emil", "Farah", "Goran", "Hana", "Ivo", "Jun", "Kira", "Liam", "Mina", "Nils")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
WORDS = (
    "amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "jasper", "kelp", "lagoon",
    "maple", "nectar", "opal", "pebble", "quartz", "raven", "saffron", "tundra", "umber", "velvet", "willow", "zephyr",
)  # fmt: skip
THINGS = (
    "lamp",
    "kettle",
    "desk",
    "chair",
    "clock",
    "mirror",
    "basket",
    "bottle",
    "blanket",
    "ladder",
    "radio",
    "vase",
)
TOPICS = ("budget", "hiring", "launch", "design", "audit", "training", "planning", "review", "retro", "demo")
