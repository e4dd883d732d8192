"""uvicorn's own ceiling: the same bytes for every request. `python -m bench.reader.peers.constant PORT BODY_FILE`."""

import sys
from pathlib import Path

from starlette.types import Receive, Scope, Send

from bench.reader.peers.serving import serve


def main() -> None:
    """Answer."""
    body = Path(sys.argv[2]).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def answer(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            raise NotImplementedError("a constant needs no life span")

    serve(answer, int(sys.argv[1]))


if __name__ == "__main__":
    main()
