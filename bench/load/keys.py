"""Which users a load asks for: few of them often, most seldom (Zipf's law), and some that do not exist. Pure."""

import itertools
import random
from collections.abc import Sequence

UNKNOWN_SHARE = 0.01
FIRST_UNKNOWN = 1_000_000_000
"""Ids from here on belong to no user."""

EXPONENT = 1.0
"""Of Zipf's law: the user of rank r is asked for in proportion to 1 / r."""


def draw_ids(users: int, count: int, seed: int = 1) -> Sequence[int]:
    """Return the ids that a load asks for, one after another; those from FIRST_UNKNOWN on belong to no user.

    Args:
        users: how many there are, with the ids 1 to `users`.
        count: how many ids to draw.
        seed: the same seed draws the same ids.
    """
    chance = random.Random(seed)
    ids = list(range(1, users + 1))
    # Popular ids must not follow the order in which a store keeps them.
    random.Random(0).shuffle(ids)
    weights = list(itertools.accumulate(1 / rank**EXPONENT for rank in range(1, users + 1)))
    drawn = chance.choices(ids, cum_weights=weights, k=count)
    return [FIRST_UNKNOWN + user_id if chance.random() < UNKNOWN_SHARE else user_id for user_id in drawn]
