"""How a callback of the HTTP parser refuses a request, and which response the end of parsing leads to."""

import logging

from reader.http import problems
from reader.http.response import Response

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """The request is refused before it is complete; raised through the parser, which then stops.

    Args:
        response: what the client is sent.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def find_response(cause: BaseException | None) -> Response:
    """Return the response to a request that the parser gave up; an error of our own is logged, and is a 500.

    Args:
        cause: what a callback raised; None where the parser itself cannot go on.
    """
    if cause is None:
        return problems.BAD_HTTP
    if isinstance(cause, RefusedError):
        return cause.response
    logger.error("a request failed", exc_info=cause)
    return problems.INTERNAL_CLOSE
