"""The page at `/` and `/openapi.json`: files that come with the package. Knows Starlette, not the reader."""

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
"""The page loads from and connects to this reader only, and no other page may frame it."""

HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def build_routes() -> Sequence[BaseRoute]:
    """Return a route for each file, and one for the OpenAPI document."""
    folder = files("reader") / "http" / "static"
    contents = {name: (folder / name).read_bytes() for name in MEDIA_TYPES}
    document = json.dumps(build_document(), ensure_ascii=False, indent=1).encode()
    return [
        *(_constant_route(_path_of(name), contents[name], MEDIA_TYPES[name]) for name in MEDIA_TYPES),
        _constant_route("/openapi.json", document, "application/json"),
    ]


def _path_of(name: str) -> str:
    return "/" if name == "index.html" else f"/{name}"


def _constant_route(path: str, content: bytes, media_type: str) -> BaseRoute:
    """Return a route whose response never changes."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**HEADERS, "etag": tag, "content-security-policy": POLICY}

    async def get_constant(request: Request) -> responses.Response:
        if_none_match = request.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in if_none_match.split(",")):
            return responses.Response(None, 304, headers)
        return responses.Response(content, 200, {**headers, "content-type": media_type})

    return Route(path, get_constant)
