"""What every record is: frozen, versioned, and convertible to Arrow and back without loss.

The Arrow schema is derived from the annotations, so it cannot drift from the model:

    str, Literal, StrEnum -> string      int -> int64      float -> float64      bool -> bool      bytes -> binary
    datetime -> timestamp[us, UTC]       X | None -> nullable X                  tuple[X, ...] -> list<X>
    dict[str, X] -> map<string, X>       a model -> struct                       JsonObject -> string (JSON text)
    a union of models -> one struct with the fields of all of them, nullable but for `type`

Not here: reading of other people's files (`store/formats.py`).
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, PlainSerializer, SerializationInfo

from palaestra.errors import InputError

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    datetime: pa.timestamp("us", tz="UTC"),
}


_AS_JSON_TEXT = "json_as_text"


def _json_text(value: dict[str, JsonValue], info: SerializationInfo) -> Any:  # noqa: ANN401 - text or object, by context
    return json.dumps(value, sort_keys=True) if info.context == _AS_JSON_TEXT else value


_JSON_MARK = PlainSerializer(_json_text)
JsonObject = Annotated[
    dict[str, JsonValue],
    BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value),
    _JSON_MARK,
]
"""A free-form JSON object: an object in JSON, JSON text in Arrow."""


class Struct(BaseModel):
    """A frozen part of a record: nested in one, never a file of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants")


class Record(Struct):
    """A frozen record with a name and a version.

    Subclasses set `record_name` and `record_version`; both are written as `"schema": "palaestra.NAME/VERSION"`.
    """

    record_name: ClassVar[str]
    record_version: ClassVar[int] = 1

    @classmethod
    def schema_id(cls) -> str:
        """The identifier that stands in every serialised copy, e.g. `palaestra.leaderboard/1`."""
        return f"palaestra.{cls.record_name}/{cls.record_version}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary whose first key is the schema identifier."""
        return {"schema": self.schema_id(), **self.model_dump(mode="json", by_alias=True)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The record of a dictionary made by `to_dict`.

        Raises:
            InputError: the dictionary carries another schema or version.
            pydantic.ValidationError: a field is missing, unknown or of the wrong type.
        """
        found = data.get("schema", cls.schema_id())
        if found != cls.schema_id():
            raise InputError(f"found a record of schema {found!r}, expected {cls.schema_id()!r}")
        return cls.model_validate({key: value for key, value in data.items() if key != "schema"})


def arrow_schema(record: type[Record]) -> pa.Schema:
    """The Arrow schema of a record class; its metadata holds the schema identifier."""
    return pa.schema(_fields(record), metadata={"schema": record.schema_id()})


def to_table(record: type[Record], rows: Iterable[Record]) -> pa.Table:
    """A table with one row a record, in the order given."""
    schema = arrow_schema(record)
    rows_as_dicts = [row.model_dump(mode="python", by_alias=True, context=_AS_JSON_TEXT) for row in rows]
    return pa.Table.from_pylist(rows_as_dicts, schema=schema)


R = TypeVar("R", bound=Record)


def from_table(record: type[R], table: pa.Table) -> list[R]:
    """The records of a table made by `to_table`.

    Raises:
        InputError: the table was written with another schema or version.
        pydantic.ValidationError: a row does not fit the record.
    """
    found = (table.schema.metadata or {}).get(b"schema", record.schema_id().encode()).decode()
    if found != record.schema_id():
        raise InputError(f"found a table of schema {found!r}, expected {record.schema_id()!r}")
    return [record.model_validate(_without_nulls(row)) for row in table.to_pylist(maps_as_pydicts="strict")]


def _fields(model: type[BaseModel]) -> list[pa.Field]:
    fields = []
    for name, info in model.model_fields.items():
        is_json = any(item is _JSON_MARK for item in info.metadata)
        data_type, nullable = (pa.string(), False) if is_json else _arrow_type(info.annotation)
        fields.append(pa.field(info.alias or name, data_type, nullable=nullable))
    return fields


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:  # noqa: ANN401, PLR0911 - one return per row of the table above
    """The Arrow type of an annotation and whether it may be null."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _arrow_type(arguments[0])
    if origin in {Union, types.UnionType}:
        members = [member for member in arguments if member is not type(None)]
        nullable = len(members) < len(arguments)
        if len(members) == 1:
            return _arrow_type(members[0])[0], nullable
        return _merged_struct(members), nullable
    if origin is Literal:
        return _SCALARS[type(arguments[0])], False
    if origin is tuple:
        element, nullable = _arrow_type(arguments[0])
        return pa.list_(pa.field("item", element, nullable=nullable)), False
    if origin is dict:
        return pa.map_(pa.string(), _arrow_type(arguments[1])[0]), False
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(_fields(annotation)), False
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string(), False
    if annotation in _SCALARS:
        return _SCALARS[annotation], False
    raise TypeError(f"no Arrow type for {annotation!r}; give the field one of the types listed in {__name__}")


def _merged_struct(members: Sequence[Any]) -> pa.DataType:
    """One struct for a union of models told apart by a `type` field: every other field becomes nullable."""
    merged: dict[str, pa.Field] = {}
    for member in members:
        inner = get_args(member)[0] if get_origin(member) is Annotated else member
        for field in _fields(inner):
            known = merged.setdefault(field.name, field if field.name == "type" else field.with_nullable(nullable=True))
            if known.type != field.type:
                raise TypeError(
                    f"field {field.name!r} is {known.type} in one member of a union and {field.type} in another"
                )
    return pa.struct(list(merged.values()))


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - walks whatever Arrow gives
    """Drop null fields: they are either defaults or belong to another member of a union."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
