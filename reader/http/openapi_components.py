"""What several routes share in the OpenAPI description: schemas, headers, parameters, problems. Pure."""

from typing import Any

from reader.http.openapi_record import describe_record
from reader.http.users import MAX_IDS
from shared.problems import TYPE
from shared.records import MAX_ID_BYTES
from shared.shape import Shape

Node = dict[str, Any]

PROBLEMS = {
    400: ("bad-request", "bad-http"),
    404: ("unknown-user", "unknown-route"),
    405: ("method-not-allowed",),
    408: ("request-timeout",),
    414: ("uri-too-long",),
    421: ("other-shard",),
    431: ("headers-too-large",),
    500: ("internal",),
    503: ("not-ready", "behind", "other-topic", "too-stale", "too-many-streams", "overloaded"),
}
"""Status -> the last parts of the `type` of its problems."""

MEANINGS = {
    400: "The request cannot be understood.",
    404: "There is no such record, or no such route.",
    405: "Resources are read-only.",
    408: "The request took too long to arrive; the connection is closed.",
    414: "The request target is too long; the connection is closed.",
    421: "A record asked for is in another shard than this reader holds; the document says in which.",
    431: "The header fields are too large; the connection is closed.",
    500: "The reader failed to handle the request; its log has the cause.",
    503: "This reader cannot serve the request now: try again after Retry-After, or ask another reader.",
}

TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
NUMBER_OR_NULL = {"type": ["number", "null"]}
INTEGER_OR_NULL = {"type": ["integer", "null"]}


BEHIND = "User-Info-Behind-Seconds"
TOPIC = "User-Info-Topic"


def build_components(shape: Shape | None) -> Node:
    """Return everything that is referred to by name.

    Args:
        shape: of the records; None where the topic says none.
    """
    return {
        # `Standing` is the name under which generated clients know it.
        "schemas": {"Record": describe_record(shape), "Problem": _problem_schema(), "Standing": _readiness_schema()},
        "headers": _build_headers(),
        "parameters": {"userId": _user_id_parameter()},
        "responses": {f"Problem{status}": problem_response(status) for status in PROBLEMS},
    }


def _build_headers() -> Node:
    pair = r"[0-9]+:[0-9]+"

    def header(description: str, required: bool = True, **schema: Any) -> Node:  # noqa: ANN401 - JSON
        return {"description": description, "required": required, "schema": schema}

    return {
        "ETag": header("Identifies this version of the content.", type="string", pattern='^"[!#-~]+"$'),
        "Cache-Control": header(
            "`no-cache`: caches must revalidate; `no-store`: they must not store.", enum=["no-cache", "no-store"]
        ),
        "User-Info-Offset": header(
            "Partition and offset of the record in the topic.", type="string", pattern=f"^{pair}$"
        ),
        "User-Info-Offsets": header(
            "For each partition, the newest offset among the records; where one is missing, that up to which it is"
            " true that there is none; absent where no offset is known.",
            required=False,
            type="string",
            pattern=f"^{pair}(, {pair})*$",
        ),
        "User-Info-Offset-Of-Absence": header(
            "Partition and offset in the topic up to which it is true that there is no such record; absent where none"
            " can have this id, nothing is in that partition, or CRC-32 does not place all keys.",
            required=False,
            type="string",
            pattern=f"^{pair}$",
        ),
        TOPIC: header(
            "Names the topic that the offsets are of: another one once it was created again.",
            type="string",
            pattern="^[0-9a-f]{8}$",
        ),
        "User-Info-Source-Time-Ms": header(
            "Source time of the newest change in the record, in ms since 1970; absent where the topic does not say.",
            required=False,
            type="integer",
        ),
        BEHIND: header(
            "How long ago the reader last held everything in the topic; absent if it never did.",
            required=False,
            type="number",
            minimum=0,
        ),
        "Retry-After": header("Seconds to wait.", type="integer", minimum=0),
        "Allow": header("The methods allowed.", const="GET, HEAD"),
    }


def header_refs(*names: str) -> Node:
    """Return references to headers, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def parameter_ref(parameter: str) -> Node:
    """Return a reference to a parameter."""
    return {"$ref": f"#/components/parameters/{parameter}"}


def _user_id_parameter() -> Node:
    return {
        "name": "userId",
        "in": "path",
        "required": True,
        "description": f"Any text of 1 to {MAX_ID_BYTES} bytes in UTF-8, percent-encoded, slashes included.",
        "schema": {"type": "string", "minLength": 1},
    }


def ids_parameter() -> Node:
    """Return the parameter with the ids of several users."""
    return {
        "name": "id",
        "in": "query",
        "required": True,
        "description": "The ids of the records.",
        "style": "form",
        "explode": True,
        "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_IDS},
    }


def _header_parameter(name: str, description: str, schema: Node | None = None) -> Node:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema or TEXT}


def condition_parameters() -> list[Node]:
    """Return the parameters for conditions on how new the data must be."""
    offsets = {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "string",
            "pattern": "^[0-9]{1,18}:[0-9]{1,18}(:[0-9a-f]{8})?$",
            "examples": ["3:1042:0badcafe", "3:1042"],
        },
    }
    seconds = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$", "examples": ["5", "0.5"]}
    return [
        _header_parameter(
            "If-Min-Offset",
            "Respond 503 unless the reader has applied the topic up to and including these offsets: those of any"
            " User-Info-Offset, each followed by the response's User-Info-Topic, or the id of an event. Without a topic"
            " the number alone is compared, which says nothing once the topic was created again. Partitions of other"
            " shards than the reader's are passed over.",
            offsets,
        ),
        _header_parameter(
            "Max-Staleness-Seconds", "Respond 503 if the data may be older than this, by the source's clock.", seconds
        ),
    ]


def if_none_match_parameter() -> Node:
    """Return the parameter that names a known version."""
    return _header_parameter("If-None-Match", "Respond 304 if the ETag is still this one.")


def last_event_id_parameter() -> Node:
    """Return the parameter that names the last event received."""
    return _header_parameter(
        "Last-Event-ID",
        "Id of the last event received, or a User-Info-Offset followed by its User-Info-Topic; the stream starts with"
        " what is newer.",
    )


def schema_ref(name: str) -> Node:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(schema: Node) -> Node:
    """Return the content of a JSON response."""
    return {"content": {"application/json": {"schema": schema}}}


def _problem_schema() -> Node:
    return {
        "type": "object",
        "description": "An error, as defined by RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"enum": [TYPE + kind for kinds in PROBLEMS.values() for kind in kinds]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "state": {"type": "string"},
            "percent": NUMBER_OR_NULL,
            "secondsLeft": NUMBER_OR_NULL,
            "shard": {**TEXT, "description": "That of the reader, such as `0/2`."},
            "elsewhere": {
                "description": "Other shard -> ids asked for that are in it.",
                "additionalProperties": {"type": "array", "items": TEXT},
            },
        },
    }


def problem_content(status: int) -> Node:
    """Return the content of an error response with a status."""
    kinds = {"properties": {"type": {"enum": [TYPE + kind for kind in PROBLEMS[status]]}, "status": {"const": status}}}
    return {"application/problem+json": {"schema": {"allOf": [schema_ref("Problem"), kinds]}}}


def problem_response(status: int) -> Node:
    """Return the error response with a status."""
    response: Node = {"description": MEANINGS[status], "content": problem_content(status)}
    if status == 503:
        response["headers"] = header_refs("Retry-After")
    if status == 405:
        response["headers"] = header_refs("Allow")
    return response


def _readiness_schema() -> Node:
    fields = {
        "state": {"enum": ["starting", "replaying", "building", "ready", "stale", "failed"]},
        "applied": {**INTEGER_OR_NULL, "description": "Records applied so far, counted by offset."},
        "target": {
            **INTEGER_OR_NULL,
            "description": "Records in the topic when it was last checked, counted by offset.",
        },
        "percent": {**NUMBER_OR_NULL, "description": "How much of the topic is applied; while building, is built."},
        "secondsLeft": {**NUMBER_OR_NULL, "description": "Until the replay or the build ends, at the rate so far."},
        "reason": {**TEXT_OR_NULL, "description": "Explanation for people."},
    }
    return {"type": "object", "required": list(fields), "properties": fields, "additionalProperties": False}
