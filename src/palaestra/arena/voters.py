"""Who is asking: a random token in a cookie, and nothing that leads to a person.

The token is 192 random bits. The ledger holds its hash, so whoever reads the ledger cannot act as a voter, and no
address, name or browser is stored. There is nothing to sign: a token that nobody was given owns no battle.
"""

from __future__ import annotations

import hashlib
import secrets

from fastapi import Request, Response

_COOKIE = "voter"
_YEAR_S = 365 * 24 * 3600
_LONGEST_TOKEN = 128


def known_voter(request: Request) -> str:
    """The voter of a request: the hash of the cookie's token, empty for a browser without one."""
    token = request.cookies.get(_COOKIE, "")
    return _identity(token) if 0 < len(token) <= _LONGEST_TOKEN else ""


def welcome(request: Request, response: Response) -> str:
    """The voter of a request; a browser without a token is given one."""
    voter = known_voter(request)
    if voter:
        return voter
    token = secrets.token_urlsafe(24)
    response.set_cookie(
        _COOKIE, token, max_age=_YEAR_S, httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )
    return _identity(token)


def _identity(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:32]
