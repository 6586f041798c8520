"""Proper scores of predictive laws that are Student's t: how good a forecast was, once the truth is known.

The continuous ranked probability score has the closed form of Jordan, Krüger and Lerch, *Evaluating probabilistic
forecasts with scoringRules* (2019); proper scores: Gneiting and Raftery (2007). Lower CRPS and Brier scores are better,
higher log scores are. Not here: what was foretold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import t as student_t

from palaestra.stats.joint_normal import StudentT

Floats = NDArray[np.float64]


def crps(law: StudentT, truth_N: Floats) -> Floats:
    """Continuous ranked probability score, in the truth's own unit; more than one degree of freedom."""
    z_N, v_N = (truth_N - law.location_N) / law.scale_N, law.freedom_N
    below_N, density_N = student_t.cdf(z_N, v_N), student_t.pdf(z_N, v_N)
    half_N = np.exp(betaln(0.5, v_N - 0.5) - 2 * betaln(0.5, v_N / 2))
    near_N = z_N * (2 * below_N - 1) + 2 * density_N * (v_N + z_N**2) / (v_N - 1)
    return law.scale_N * (near_N - 2 * np.sqrt(v_N) / (v_N - 1) * half_N)


def log_score(law: StudentT, truth_N: Floats) -> Floats:
    """The logarithm of the density at the truth."""
    return student_t.logpdf(truth_N, law.freedom_N, law.location_N, law.scale_N)


def probability_below(law: StudentT, truth_N: Floats) -> Floats:
    """The law's distribution function at the truth; uniform over many forecasts if the laws hold."""
    return student_t.cdf((truth_N - law.location_N) / law.scale_N, law.freedom_N)
