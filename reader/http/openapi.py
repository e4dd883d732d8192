"""The OpenAPI 3.1 document of the reader's routes. Pure.

Written by hand, since most of it describes headers, which no code declares. Tests compare it with the routes, the
problems and the responses of a running reader.
"""

from importlib.metadata import PackageNotFoundError, version

from reader.http.openapi_components import (
    BEHIND,
    TOPIC,
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
from reader.http.resource import USERS, Resource
from reader.http.users import MAX_IDS
from shared.shape import Shape

ANYWHERE = (400, 405, 408, 414, 431, 500, 503)
"""Statuses that any request may get."""

MISDIRECTED = {"421": {"$ref": "#/components/responses/Problem421"}}


def build_document(resource: Resource = USERS, shape: Shape | None = None) -> Node:
    """Return the document, with all routes.

    Args:
        resource: what the users are served as.
        shape: of the records; None where the topic says none.
    """
    path, noun = resource.path, resource.noun
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "User Information Service",
            "version": _version(),
            "summary": "A row of one table, with counts and sums of the rows that belong to it.",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            f"{path}/{{userId}}": _describe_path(
                "user",
                f"Read a {noun}",
                _describe_user(noun),
                [parameter_ref("userId"), *condition_parameters(), if_none_match_parameter()],
            ),
            path: _describe_path(
                "users", f"Read several {noun}s", _describe_users(resource), [ids_parameter(), *condition_parameters()]
            ),
            f"{path}/{{userId}}/events": _describe_path(
                "events",
                f"Follow a {noun}'s changes",
                _describe_events(noun),
                [parameter_ref("userId"), last_event_id_parameter()],
            ),
            "/readyz": _describe_path("readyz", "Check whether the reader is ready for traffic", _describe_readyz()),
            "/livez": _describe_path("livez", "Check whether the process is alive", _describe_livez()),
            "/metrics": _describe_path(
                "metrics",
                "Read the reader's metrics",
                _describe_text("text/plain", "Metrics in Prometheus' text format."),
            ),
            "/openapi.json": _describe_path(
                "openapi", "Read this document", _describe_constant("application/json"), [if_none_match_parameter()]
            ),
            "/": _describe_path(
                "page",
                f"Open the page for looking up {noun}s",
                _describe_constant("text/html"),
                [if_none_match_parameter()],
            ),
        },
        "components": build_components(shape),
    }


def _version() -> str:
    try:
        return version("user-information-service")
    except PackageNotFoundError:
        return "0"


def _describe_path(name: str, summary: str, responses: Node, parameters: list[Node] | None = None) -> Node:
    """Return a path that can be read, by GET and by HEAD."""
    common = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in ANYWHERE}
    to_get = dict(sorted({**common, **responses}.items()))
    to_head = {status: _without_body(response) for status, response in to_get.items()}
    return {
        "parameters": parameters or [],
        "get": {"operationId": name, "summary": summary, "responses": to_get},
        "head": {"operationId": f"{name}Head", "summary": f"{summary}: headers only", "responses": to_head},
    }


def _without_body(response: Node) -> Node:
    if "$ref" in response:
        status = int(response["$ref"][-3:])
        return {name: part for name, part in problem_response(status).items() if name != "content"}
    return {name: part for name, part in response.items() if name != "content"}


def _describe_user(noun: str) -> Node:
    headers = header_refs("ETag", "Cache-Control", "User-Info-Offset", TOPIC, "User-Info-Source-Time-Ms", BEHIND)
    of_absence = header_refs("Cache-Control", "User-Info-Offset-Of-Absence", TOPIC, BEHIND)
    of_absence["User-Info-Offset"] = of_absence.pop("User-Info-Offset-Of-Absence")
    return {
        "200": {"description": f"The {noun}.", "headers": headers, **json_content(schema_ref("Record"))},
        "304": {"description": "The record still has the ETag in If-None-Match.", "headers": headers},
        "404": {**problem_response(404), "headers": of_absence},
        **MISDIRECTED,
    }


def _describe_users(resource: Resource) -> Node:
    found = {
        "type": "object",
        "required": [resource.name, "missing"],
        "properties": {
            resource.name: {"type": "array", "items": schema_ref("Record"), "maxItems": MAX_IDS},
            "missing": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_IDS},
        },
        "additionalProperties": False,
    }
    headers = header_refs("Cache-Control", "User-Info-Offsets", TOPIC, BEHIND)
    headers["User-Info-Offset"] = headers.pop("User-Info-Offsets")
    description = "The records found, in the order asked for, and the ids without a record; all as of one moment."
    return {"200": {"description": description, "headers": headers, **json_content(found)}, **MISDIRECTED}


def _describe_events(noun: str) -> Node:
    description = (
        f"An endless stream of server-sent events: the {noun} now, and after every change. An event `record` holds what"
        " a read would return with 200, an event `absent` what it would return with 404. The id of an event is"
        " `<partition>:<offset>:<topic>`; a client that reconnects with it in Last-Event-ID gets only what is newer. A"
        " client that reads slowly misses versions in between, never the last one. A request in HTTP/1.0 gets what is"
        " new now, and the response ends."
    )
    return {
        "200": {
            "description": description,
            "headers": header_refs("Cache-Control"),
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        "404": {"$ref": "#/components/responses/Problem404"},
        **MISDIRECTED,
    }


def _describe_readyz() -> Node:
    content = json_content(schema_ref("Standing"))
    return {
        "200": {"description": "Ready, or serving stale data.", **content},
        "503": {
            "description": "Not ready, or staler than READER_MAX_STALENESS_SECONDS.",
            "headers": header_refs("Retry-After"),
            **content,
        },
    }


def _describe_livez() -> Node:
    def state(word: str) -> Node:
        return json_content({"type": "object", "required": ["state"], "properties": {"state": {"const": word}}})

    return {
        "200": {"description": "Alive.", **state("alive")},
        "503": {"description": "Not alive: nothing follows the topic any more.", **state("dead")},
    }


def _describe_text(media_type: str, description: str) -> Node:
    return {"200": {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


def _describe_constant(media_type: str) -> Node:
    schema = {"type": "object" if media_type == "application/json" else "string"}
    headers = header_refs("ETag", "Cache-Control")
    return {
        "200": {"description": "The content.", "headers": headers, "content": {media_type: {"schema": schema}}},
        "304": {"description": "The content still has the ETag in If-None-Match.", "headers": headers},
    }
