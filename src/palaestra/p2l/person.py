"""What one person asks: the prompts of a voter, whose board is that of a set of prompts.

The board says which models are good at what this person asks, by everybody's votes. It does not say what this person
likes: that is `palaestra rank person`, which goes by the person's own votes.
"""

from __future__ import annotations

import numpy as np

from palaestra.errors import InputError
from palaestra.store.prompted_votes import PromptedVotes


def prompts_of(votes: PromptedVotes, voter: str) -> tuple[list[str], list[float]]:
    """The prompts on which a voter voted, and what each counts: the sum of the weights of the voter's votes on it.

    Raises:
        InputError: nobody is named in the votes, or not this voter.
    """
    if not votes.voters:
        raise InputError("found votes without voters, expected a column voter to draw a person's board")
    if voter not in votes.voters:
        near = ", ".join(sorted(votes.voters)[:5])
        raise InputError(f"found no votes by {voter!r}, expected a voter such as {near}")
    mine_B = votes.voter_B == votes.voters.index(voter)
    weight_P = np.bincount(votes.prompt_B[mine_B], votes.weight_B[mine_B], len(votes.prompts))
    asked = np.flatnonzero(weight_P > 0)
    return [votes.prompts[p] for p in asked], weight_P[asked].tolist()
