"""The OpenAPI document: well-formed, and complete for all routes and problems."""

import ast
import json
import re

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator

from reader.http import events_route, static_routes
from reader.http.events import EventStreams
from reader.http.openapi import build_document
from reader.http.openapi_components import PROBLEMS
from reader.http.static_routes import MEDIA_TYPES
from reader.storage.read_view import StoredRecord
from tests.support.http import LATEST, LocalServer
from tests.support.programs import ROOT
from tests.support.read_views import DictReadView

RECORDS = {b"alice": StoredRecord(0, 7, 0, b"{}")}


def test_the_description_is_openapi() -> None:
    """It is valid by the standard's own schema, references included."""
    OpenAPIV31SpecValidator(build_document()).validate()


def test_exactly_the_existing_routes_are_described() -> None:
    """Except the page's own files; and the document served is this one."""
    events = EventStreams(lambda: DictReadView(RECORDS), lambda: LATEST)
    with LocalServer(RECORDS, routes=[*events_route.build_routes(events), *static_routes.build_routes()]) as serving:
        routes = serving.application._starlette.routes  # noqa: SLF001 - nothing else needs to know them
        described = httpx.get(f"http://127.0.0.1:{serving.port}/openapi.json").json()
    found = {re.sub(r"\{user_id\}", "{userId}", getattr(route, "path", "")) for route in routes}
    assert build_document() == json.loads(json.dumps(described))
    assert set(described["paths"]) == found - {f"/{name}" for name in MEDIA_TYPES}
    for path in described["paths"].values():
        assert {"get", "head"} <= set(path)


def test_every_problem_is_described() -> None:
    """The document has exactly the statuses and kinds that the reader's code can send."""
    kinds = set()
    for module in (*sorted((ROOT / "reader").rglob("*.py")), ROOT / "shared" / "problems.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"problem", "encode_problem"}:
                status, kind = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(kind, ast.Constant):
                    kinds.add((status.value, kind.value))
    assert {(status, kind) for status, kinds in PROBLEMS.items() for kind in kinds} == kinds
