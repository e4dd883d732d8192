"""A client of server-sent events, over a connection of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx


@dataclass(frozen=True)
class Event:
    """One event.

    Args:
        kind: its name.
        data: its lines, joined.
        place: the id that a client comes back with.
    """

    kind: str
    data: str
    place: str | None


class Listener:
    """One stream, read event by event.

    Args:
        port: on 127.0.0.1.
        path: of the stream.
        last: the id to come back with.
    """

    def __init__(self, port: int, path: str, last: str | None = None) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        headers = {} if last is None else {"last-event-id": last}
        self.response = self._client.send(self._client.build_request("GET", path, headers=headers), stream=True)
        self._lines = self.response.iter_lines()

    def __iter__(self) -> Iterator[Event]:
        """Yield events until the stream ends."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line and name:
                fields[name] = f"{fields['data']}\n{value}" if name == "data" and "data" in fields else value
            elif not line:
                if "data" in fields:
                    yield Event(fields.get("event", "message"), fields["data"], fields.get("id"))
                fields = {}

    def next(self) -> Event:
        """Wait for the next event."""
        return next(iter(self))

    def await_comment(self) -> None:
        """Wait for a comment, which only keeps the stream alive."""
        assert any(line.startswith(":") for line in self._lines)

    def __enter__(self) -> Self:
        """Listen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go away."""
        self.response.close()
        self._client.close()
