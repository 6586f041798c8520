"""The tools that a model is offered with a request, in the form of the chat protocol.

Not here: what a tool does (whoever offers it runs it), and how calls come back (`wire.py`).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaestra.schema.record import JsonObject, Struct


class OfferedTool(Struct):
    """A tool's name, what it is for, and the JSON schema of its arguments."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    description: str = ""
    parameters: JsonObject

    def sent(self) -> dict[str, Any]:
        """As the chat protocol has it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}
