"""What stands before every request: a limit on the body, the same origin for writes, and headers that keep pages safe.

Plain ASGI, so that a stream passes through untouched.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 256 * 1024
_TOO_LARGE = f"The request is larger than {LONGEST_BODY // 1024} KiB. Shorten the message."

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}
_READS = {"GET", "HEAD", "OPTIONS"}


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """An error in the one shape that the pages know."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, and let it pass or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = _refused(scope) or self._app
        await answer(scope, _limited(receive), send_with_headers)


def _refused(scope: Scope) -> JSONResponse | None:
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
        return refusal(413, "too_long", _TOO_LARGE)
    if scope["method"] not in _READS and _is_foreign(headers):
        return refusal(403, "foreign_origin", "This request came from another site, so nothing was done.")
    return None


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page sent this.

    Browsers say so themselves over HTTPS and on the same machine; else the origin must be the host that was asked for,
    so a proxy for plain HTTP must pass the Host header on.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        return True


def _limited(receive: Receive) -> Receive:
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > LONGEST_BODY:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return limited
