"""A conversation: messages of typed parts.

Content loads from both shapes of the public releases: a plain string (33k, 55k, 100k) and a list of typed parts (140k).
Not here: how a conversation is sent to a provider (`gateway/client.py`) or shown (`pictures/markdown.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from palaestra.schema.record import Record, Struct

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(Struct):
    """Plain text, Markdown by convention."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Struct):
    """An image, by URL or as a data URL."""

    type: Literal["image"] = "image"
    image: str
    mime_type: str | None = Field(default=None, alias="mimeType")


class DocumentPart(Struct):
    """An uploaded document and the text that was taken from it."""

    type: Literal["document"] = "document"
    name: str
    mime_type: str | None = Field(default=None, alias="mimeType")
    text: str | None = None
    pages: int | None = None


class SearchResultPart(Struct):
    """A search result that the answer saw; `citation` is the number by which the answer cites it."""

    type: Literal["search_result"] = "search_result"
    url: str
    title: str | None = None
    text: str | None = None
    citation: int | None = None


class ToolCallPart(Struct):
    """A call of a tool; `arguments` is JSON text, kept as the model wrote it."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    name: str
    arguments: str


class ToolResultPart(Struct):
    """What a tool answered to the call of the same `call_id`."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    text: str


Part = Annotated[
    TextPart | ImagePart | DocumentPart | SearchResultPart | ToolCallPart | ToolResultPart,
    Field(discriminator="type"),
]


class Message(Struct):
    """One message. `num_tokens` is the writer's own count, where it is known."""

    role: Role
    content: tuple[Part, ...]
    num_tokens: int | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _text_is_one_part(cls, value: Any) -> Any:  # noqa: ANN401 - any input is validated
        return [{"type": "text", "text": value}] if isinstance(value, str) else value

    @property
    def text(self) -> str:
        """The message's text parts, joined by a blank line."""
        return "\n\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message of one text part."""
        return cls(role=role, content=(TextPart(text=text),))


class Conversation(Record):
    """A conversation with one model."""

    record_name = "conversation"

    id: str
    model: str
    messages: tuple[Message, ...]
