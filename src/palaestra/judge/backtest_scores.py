"""Forecasts against what came: errors, proper scores, coverage and calibration, each with its interval.

Intervals are percentiles of a bootstrap over the foretold models (Efron, 1979), and differences of methods are paired:
the same models in each resample. Models that came on one day share that day's luck, which this does not know.

Not here: the forecasting (`backtest.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from palaestra.schema.record import Struct
from palaestra.stats.joint_normal import StudentT
from palaestra.stats.scoring import crps, log_score

if TYPE_CHECKING:
    from palaestra.judge.backtest import PastForecast

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.95)
"""Of the intervals whose coverage is counted."""
_BINS = 10


class Measured(Struct):
    """A figure and its 95% interval."""

    value: float
    lower: float
    upper: float


class ChanceBin(Struct):
    """Chances to beat a model that were about the same: their mean, how often it happened, and how many there were."""

    predicted: float
    observed: float
    count: int


class MethodScores(Struct):
    """One method on all models that came later. Errors and CRPS in rating points, log scores natural."""

    models: int
    mae: Measured
    rmse: Measured
    bias: Measured
    """Mean of actual less foretold."""
    crps: Measured
    log_score: Measured
    coverage: dict[str, Measured]
    """By level: 0.5, 0.8, 0.95."""
    brier: Measured
    """Of the chances to beat each model of the board before, averaged within a new model first."""
    calibration: tuple[ChanceBin, ...]


class PairedGain(Struct):
    """How much smaller the reference's error is than this method's, on the same models; above zero it is better."""

    mae: Measured
    crps: Measured
    brier: Measured


def method_scores(forecasts: Sequence[PastForecast], resamples: int, seed: int) -> MethodScores:
    """The scores of one method.

    Args:
        forecasts: its forecasts, one a model.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same for all methods pairs them.
    """
    error_N, law = _errors(forecasts), _law(forecasts)
    actual_N = np.array([one.actual for one in forecasts])
    inside_N = np.abs(np.array([one.below for one in forecasts]) - 0.5)
    weight_RN = _weights(len(forecasts), resamples, seed)

    def mean(values_N: Floats, turn: Callable[[Floats], Floats] = lambda x: x) -> Measured:
        return _measured(values_N, weight_RN, turn)

    return MethodScores(
        models=len(forecasts),
        mae=mean(np.abs(error_N)),
        rmse=mean(error_N**2, np.sqrt),
        bias=mean(error_N),
        crps=mean(crps(law, actual_N)),
        log_score=mean(log_score(law, actual_N)),
        coverage={f"{level:g}": mean((inside_N <= level / 2).astype(float)) for level in LEVELS},
        brier=mean(_brier(forecasts)),
        calibration=_calibration(forecasts),
    )


def gains(
    by_method: Mapping[str, Sequence[PastForecast]], reference: str, resamples: int, seed: int
) -> dict[str, PairedGain]:
    """Paired differences of all methods to one of them."""
    ours = by_method[reference]
    weight_RN = _weights(len(ours), resamples, seed)
    measures: dict[str, Callable[[Sequence[PastForecast]], Floats]] = {
        "mae": lambda own: np.abs(_errors(own)),
        "crps": lambda own: crps(_law(own), np.array([one.actual for one in own])),
        "brier": _brier,
    }
    return {
        method: PairedGain(
            **{name: _measured(measure(own) - measure(ours), weight_RN) for name, measure in measures.items()}
        )
        for method, own in by_method.items()
        if method != reference
    }


def _weights(count: int, resamples: int, seed: int) -> Floats:
    """How often each model is in each resample, as a share."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count


def _measured(values_N: Floats, weight_RN: Floats, turn: Callable[[Floats], Floats] = lambda x: x) -> Measured:
    low, high = np.quantile(turn(weight_RN @ values_N), [0.025, 0.975])
    return Measured(value=float(turn(np.array(values_N.mean()))), lower=float(low), upper=float(high))


def _errors(forecasts: Sequence[PastForecast]) -> Floats:
    return np.array([one.actual - one.rating for one in forecasts])


def _law(forecasts: Sequence[PastForecast]) -> StudentT:
    parts = np.array([(one.rating, one.scale, one.freedom) for one in forecasts]).T
    return StudentT(*parts)


def _brier(forecasts: Sequence[PastForecast]) -> Floats:
    return np.array([np.mean((np.array(one.chances) - np.array(one.beaten)) ** 2) for one in forecasts])


def _calibration(forecasts: Sequence[PastForecast]) -> tuple[ChanceBin, ...]:
    chance_C = np.concatenate([one.chances for one in forecasts])
    beaten_C = np.concatenate([one.beaten for one in forecasts])
    bin_C = np.minimum((chance_C * _BINS).astype(int), _BINS - 1)
    return tuple(
        ChanceBin(
            predicted=float(chance_C[bin_C == number].mean()),
            observed=float(beaten_C[bin_C == number].mean()),
            count=int((bin_C == number).sum()),
        )
        for number in np.unique(bin_C)
    )
