"""The page at `/`, and `/openapi.json`: files that come with the package. Knows Starlette, not the reader."""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files

from starlette import responses
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from reader.http.openapi import build_document

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
"""The page loads and asks nothing but this reader, and nobody frames it."""

HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def routes() -> Sequence[BaseRoute]:
    """Return a route for each file, and one for the description of all routes."""
    folder = files("reader") / "http" / "static"
    contents = {name: (folder / name).read_bytes() for name in MEDIA_TYPES}
    described = json.dumps(build_document(), ensure_ascii=False, indent=1).encode()
    return [
        _constant("/", contents["index.html"], MEDIA_TYPES["index.html"]),
        *(_constant(f"/{name}", contents[name], MEDIA_TYPES[name]) for name in MEDIA_TYPES if name != "index.html"),
        _constant("/openapi.json", described, "application/json"),
    ]


def _constant(path: str, content: bytes, media_type: str) -> BaseRoute:
    """Return a route that always answers the same."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "etag": tag, "content-security-policy": POLICY}

    async def constant(request: Request) -> responses.Response:
        known = request.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return responses.Response(None, 304, headers)
        return responses.Response(content, 200, {**headers, "content-type": media_type})

    return Route(path, constant)
