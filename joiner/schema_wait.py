"""Waits for a schema while no loop runs; used by the main thread."""

import logging
import time

from joiner.context import Context
from shared.errors import BadRow, RegistryAway

logger = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How often the schema registry is asked for a schema that a row is waiting for."""


def await_schema(context: Context, away: RegistryAway) -> None:
    """Wait until a schema is here, or is known not to exist; then the loop begins again from the last commit.

    Outside the loop: a joiner that does not poll is expelled from its group, and its open checkpoint with it. Whatever
    the group does meanwhile is exact, since another joiner takes over from the last commit.

    Raises:
        RegistryError: the registry refuses.
    """
    logger.warning("%s; waiting for it, then beginning again from the last commit", away)
    context.metrics.waits_for_schema.set(1)
    while context.avro is not None:
        context.health.enter("waiting", str(away))
        time.sleep(ASK_SECONDS)
        try:
            context.avro.learn_schema(away.schema_id)
            break
        except RegistryAway as error:
            away = error
        except BadRow as bad:
            logger.warning("%s; such rows become dead letters", bad)
            break
    context.metrics.waits_for_schema.set(0)
