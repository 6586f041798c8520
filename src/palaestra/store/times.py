"""Moments as files spell them, here in UTC: seconds since 1970, dates, ISO text with and without a zone, in any mix."""

from __future__ import annotations

import polars as pl

_FIRST, _LAST = -62_135_596_800, 253_402_300_800
"""Seconds since 1970 of the years 1 and 10000: what a time can be. Milliseconds fall outside."""

UTC = pl.Datetime("us", "UTC")


def in_utc(times: pl.Series) -> pl.Series:
    """Times in UTC to the microsecond; text without a zone is taken as UTC, and what is no time is missing."""
    kind = times.dtype
    if kind == UTC:
        return times
    if isinstance(kind, pl.Datetime):
        zoned = times.dt.convert_time_zone("UTC") if kind.time_zone else times.dt.replace_time_zone("UTC")
        return zoned.cast(UTC)
    if kind == pl.Date:
        return times.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    name = times.name
    if isinstance(kind, (pl.Categorical, pl.Enum)):
        times = times.cast(pl.String)
    seconds = pl.col(name).cast(pl.Float64, strict=False)
    microseconds = pl.when(seconds.is_between(_FIRST, _LAST, closed="left")).then((seconds * 1e6).round())
    moment = microseconds.cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    moments = times.to_frame().select(moment.alias(name)).to_series()
    if times.dtype != pl.String or moments.null_count() == times.null_count():
        return moments
    spelled = pl.when(pl.col("moment").is_null()).then(_iso(pl.col(name)))
    return pl.DataFrame([times, moments.alias("moment")]).select(pl.coalesce("moment", spelled).alias(name)).to_series()


def _iso(column: pl.Expr) -> pl.Expr:
    """ISO text in any mixture of its spellings: T or a blank, with or without seconds and zone, or a date alone."""
    spelled = (
        column.str.strip_chars()
        .str.replace(r"^(\d{4}-\d\d-\d\d)[ t]", "${1}T")
        .str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
        .str.replace(r"(T\d\d:\d\d)(Z|z|[+-]|$)", "${1}:00${2}")
        .str.replace(r"\s*(Z|z| ?UTC)$", "+00:00")
        .str.replace(r"(T[\d:.]+[+-]\d\d)$", "${1}:00")
        .str.replace(r"(T\d\d:\d\d:\d\d(?:\.\d+)?)$", "${1}+00:00")
    )
    return spelled.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
