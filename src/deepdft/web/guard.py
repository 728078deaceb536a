"""Who may speak to the server, and how much they may say: before any request is understood.

The page is for the person who started it. Other pages in the same browser, other users of the same
machine and names that point here from outside are refused.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""Content security policy: nothing but what the server itself has."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_BODY_SECONDS = 60.0
_SMALL_BODY = 256 << 10
"""Bytes of a request that sends no file."""


class Guard:
    """Middleware that lets through who has the token, and adds headers to every answer.

    Args:
        application: what is guarded.
        token: opens the page when it is in its address, and then stays in a cookie.
        hosts: host names that the server answers to, without port.
        upload_bytes: most bytes of a file that is sent.
        cookie: name of the cookie; cookies do not tell ports apart, so it should hold the port.
    """

    def __init__(
        self,
        application: Application,
        token: str,
        hosts: Iterable[str],
        upload_bytes: int,
        cookie: str = "deepdft",
    ) -> None:
        self._application = application
        self._token = token
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._upload_bytes = upload_bytes
        self._cookie = cookie

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":  # There are no websockets.
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        headers = {
            name.decode("latin-1").casefold(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        problem = self._refused(scope["method"], headers)
        if problem is not None:
            await _answer(send, *problem)
            return
        if self._opens(scope):
            await self._let_in(send)
            return
        if not self._is_known(headers):
            sentence = (
                "Open the address that 'deepdft serve' has printed: it holds the key to this page."
            )
            await _answer(send, 401, sentence)
            return
        if scope["method"] not in _SAFE:
            body = await self._body(scope, headers, receive)
            if isinstance(body, tuple):
                await _answer(send, *body)
                return
            receive = _replayed(body, receive)
        await self._application(scope, receive, send)

    def _refused(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return why a request is refused whoever sends it, or None."""
        host = headers.get("host", "")
        if _host_name(host) not in self._hosts:
            return 421, f"This server does not answer to the name '{host[:80]}'."
        if method in _SAFE:
            return None
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        foreign = origin is not None and urlsplit(origin).netloc.casefold() != host.casefold()
        if foreign or site not in ("same-origin", "none"):
            return 403, "Another page may not send anything to this server."
        return None

    def _opens(self, scope: MutableMapping[str, Any]) -> bool:
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(self._is_token(token) for token in given)

    async def _let_in(self, send: Send) -> None:
        """Keep the token in a cookie and go on without it in the address."""
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode("latin-1"))]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _is_known(self, headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer" and self._is_token(given.strip()):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return self._cookie in cookies and self._is_token(cookies[self._cookie].value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8"), self._token.encode("utf-8"))

    async def _body(
        self, scope: MutableMapping[str, Any], headers: dict[str, str], receive: Receive
    ) -> bytes | tuple[int, str]:
        """Return what a request sends, or the answer where that is too much or too slow."""
        limit = self._upload_bytes if scope["path"] == "/api/files" else _SMALL_BODY
        too_large = 413, f"More than {_size(limit)} were sent; that is the limit of this server."
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            return too_large
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > limit:
                        return too_large
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            return 408, f"The file did not arrive within {_BODY_SECONDS:.0f} seconds."


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", [])}
            added = [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in own
            ]
            if b"cache-control" not in own:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return complete


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").casefold()
    except ValueError:
        return ""


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} kB"
