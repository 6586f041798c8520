"""The records in which the rooms meet, and nothing else.

A type lives here if and only if it crosses a room's border through a file. Each record is a frozen pydantic model with
an Arrow schema derived from it (`record.arrow_schema`) and a version that is written into every serialised copy.
Column names are those of the public LMArena preference releases wherever such a column exists.
"""

from palaestra.schema.battle import Battle, VoterKind, Winner
from palaestra.schema.conversation import (
    Conversation,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    SearchResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from palaestra.schema.leaderboard import CalibrationBin, Effect, FitReport, Leaderboard, Level, ModelRating, VoteData
from palaestra.schema.model import CHARACTERS_PER_TOKEN, Capability, ErrorKind, ErrorRecord, ModelSpec, Usage
from palaestra.schema.preference import Preference
from palaestra.schema.prompt import Prompt, PromptSet
from palaestra.schema.record import Record, arrow_schema, from_table, to_table
from palaestra.schema.result import Result
from palaestra.schema.run import InputFile, RunCard

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Battle",
    "CalibrationBin",
    "Capability",
    "Conversation",
    "DocumentPart",
    "Effect",
    "ErrorKind",
    "ErrorRecord",
    "FitReport",
    "ImagePart",
    "InputFile",
    "Leaderboard",
    "Level",
    "Message",
    "ModelRating",
    "ModelSpec",
    "Part",
    "Preference",
    "Prompt",
    "PromptSet",
    "Record",
    "Result",
    "RunCard",
    "SearchResultPart",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "Usage",
    "VoteData",
    "VoterKind",
    "Winner",
    "arrow_schema",
    "from_table",
    "to_table",
]
