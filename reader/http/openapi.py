"""What the reader answers, in the words of OpenAPI 3.1. Pure.

Written by hand, since most of it is about headers, which no code says; tests hold it to the routes, to the problems
that there are, and to what a real reader answers.
"""

from importlib.metadata import PackageNotFoundError, version

from reader.http.openapi_components import (
    BEHIND,
    Node,
    build_components,
    condition_parameters,
    header_refs,
    ids_parameter,
    if_none_match_parameter,
    json_content,
    last_event_id_parameter,
    parameter_ref,
    problem_response,
    schema_ref,
)
from reader.http.users import MAX_IDS

ANYWHERE = (400, 405, 408, 414, 431, 500, 503)
"""Statuses that a request for anything may be answered."""


def build_document() -> Node:
    """Return the description of all routes."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "User Information Service",
            "version": _version(),
            "summary": "One user's profile and four counts.",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/users/{userId}": _readable(
                "user",
                "Read a user",
                _user(),
                [parameter_ref("userId"), *condition_parameters(), if_none_match_parameter()],
            ),
            "/users": _readable(
                "users", "Read several users at once", _users(), [ids_parameter(), *condition_parameters()]
            ),
            "/users/{userId}/events": _readable(
                "events", "Follow a user's changes", _events(), [parameter_ref("userId"), last_event_id_parameter()]
            ),
            "/readyz": _readable("readyz", "Ask whether traffic should come here", _readyz()),
            "/livez": _readable("livez", "Ask whether the process works", _livez()),
            "/metrics": _readable("metrics", "Read what the reader has counted", _text("text/plain", "Prometheus")),
            "/openapi.json": _readable(
                "openapi", "Read this description", _constant("application/json"), [if_none_match_parameter()]
            ),
            "/": _readable("page", "Look users up by hand", _constant("text/html"), [if_none_match_parameter()]),
        },
        "components": build_components(),
    }


def _version() -> str:
    try:
        return version("user-information-service")
    except PackageNotFoundError:
        return "0"


def _readable(name: str, summary: str, answers: Node, parameters: list[Node] | None = None) -> Node:
    """Return a path that can be read, by GET and by HEAD."""
    common = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in ANYWHERE}
    responses = dict(sorted({**common, **answers}.items()))
    heads = {status: _without_body(answer) for status, answer in responses.items()}
    return {
        "parameters": parameters or [],
        "get": {"operationId": name, "summary": summary, "responses": responses},
        "head": {"operationId": f"{name}Head", "summary": f"{summary}: the headers alone", "responses": heads},
    }


def _without_body(answer: Node) -> Node:
    if "$ref" in answer:
        status = int(answer["$ref"][-3:])
        return {name: part for name, part in problem_response(status).items() if name != "content"}
    return {name: part for name, part in answer.items() if name != "content"}


def _user() -> Node:
    headers = header_refs("ETag", "Cache-Control", "User-Info-Offset", "User-Info-Source-Time-Ms", BEHIND)
    return {
        "200": {"description": "The user.", "headers": headers, **json_content(schema_ref("Record"))},
        "304": {"description": "The user is still what If-None-Match says.", "headers": headers},
        "404": {"$ref": "#/components/responses/Problem404"},
    }


def _users() -> Node:
    found = {
        "type": "object",
        "required": ["users", "missing"],
        "properties": {
            "users": {"type": "array", "items": schema_ref("Record"), "maxItems": MAX_IDS},
            "missing": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_IDS},
        },
        "additionalProperties": False,
    }
    headers = header_refs("Cache-Control", "User-Info-Offsets", BEHIND)
    headers["User-Info-Offset"] = headers.pop("User-Info-Offsets")
    said = "Those that there are, in the order asked for, and the ids of the others; all of one moment."
    return {"200": {"description": said, "headers": headers, **json_content(found)}}


def _events() -> Node:
    said = (
        "Server-sent events without an end: the user now, and after every change. An event `record` holds what a read"
        " is answered with 200, an event `absent` what it is answered with 404. An event's id is"
        " `<partition>:<offset>:<topic>`; whoever comes back with it in Last-Event-ID is told only what is newer. A"
        " client that reads slowly misses what came between, never the last. HTTP/1.0 is told what there is now alone."
    )
    return {
        "200": {
            "description": said,
            "headers": header_refs("Cache-Control"),
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        "404": {"$ref": "#/components/responses/Problem404"},
    }


def _readyz() -> Node:
    here = {
        "description": "It should: the reader is ready, or serves what it has.",
        **json_content(schema_ref("Standing")),
    }
    retry = header_refs("Retry-After")
    return {
        "200": here,
        "503": {"description": "It should not.", "headers": retry, **json_content(schema_ref("Standing"))},
    }


def _livez() -> Node:
    def state(word: str) -> Node:
        return json_content({"type": "object", "required": ["state"], "properties": {"state": {"const": word}}})

    return {
        "200": {"description": "It works.", **state("alive")},
        "503": {"description": "It does not.", **state("dead")},
    }


def _text(media_type: str, said: str) -> Node:
    return {"200": {"description": said, "content": {media_type: {"schema": {"type": "string"}}}}}


def _constant(media_type: str) -> Node:
    schema = {"type": "object" if media_type == "application/json" else "string"}
    headers = header_refs("ETag", "Cache-Control")
    return {
        "200": {"description": "As it stands.", "headers": headers, "content": {media_type: {"schema": schema}}},
        "304": {"description": "It is still what If-None-Match says.", "headers": headers},
    }
