"""The page at `/`, whose files come with the package, and `/openapi.json`, which follows the topic. Knows Starlette."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.resources import files
from typing import NamedTuple, Self

from starlette import responses
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from reader.http.openapi import build_document
from reader.http.resource import USERS, Resource
from shared.shape import parse_shape

MEDIA_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The page loads from and connects to this reader only, and no other page may frame it."""

HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def build_routes(
    resource: Resource = USERS, read_shape: Callable[[], bytes | None] = lambda: None
) -> Sequence[BaseRoute]:
    """Return a route for each file, and one for the OpenAPI document.

    Args:
        resource: what the users are served as.
        read_shape: returns the shape of the records, as the topic says it now; None where it says none.
    """
    folder = files("reader") / "http" / "static"
    contents = {name: _Content.of((folder / name).read_bytes()) for name in MEDIA_TYPES}
    return [
        *(_build_route(_path_of(name), partial(contents.__getitem__, name), MEDIA_TYPES[name]) for name in MEDIA_TYPES),
        _build_route("/openapi.json", lambda: _render_document(resource, read_shape()), "application/json"),
    ]


class _Content(NamedTuple):
    """What a response holds, and its ETag."""

    body: bytes
    tag: str

    @classmethod
    def of(cls, body: bytes) -> Self:
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')


@lru_cache(maxsize=2)
def _render_document(resource: Resource, shape: bytes | None) -> _Content:
    """Return the OpenAPI document; made again only when the shape has changed."""
    document = build_document(resource, parse_shape(shape))
    return _Content.of(json.dumps(document, ensure_ascii=False, indent=1).encode())


def _path_of(name: str) -> str:
    return "/" if name == "index.html" else f"/{name}"


def _build_route(path: str, read: Callable[[], _Content], media_type: str) -> BaseRoute:
    """Return a route of content that seldom changes, or never."""

    async def get_content(request: Request) -> responses.Response:
        body, tag = read()
        headers = {**HEADERS, "etag": tag, "content-security-policy": POLICY}
        if_none_match = request.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")):
            return responses.Response(None, 304, headers)
        return responses.Response(body, 200, {**headers, "content-type": media_type})

    return Route(path, get_content)
