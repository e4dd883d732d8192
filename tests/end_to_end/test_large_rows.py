"""A row as large as the service serves can be inserted, edited and deleted, although an edit sends it twice."""

import random
import string

import pytest

from tests.support.service import Service

pytestmark = pytest.mark.end_to_end

SIZE = 3_670_016
"""3.5 MiB, in a record of at most 4."""


def noise(seed: int) -> str:
    """Return a description that compresses badly: topics limit compressed batches, and producers the rest."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=SIZE))


def test_a_large_description_can_be_edited(service: Service) -> None:
    """With REPLICA IDENTITY FULL each edit is a message of 7 MiB; the last of them is served, and then none."""
    service.sql("INSERT INTO users (user_id, username) VALUES (7, 'gina')")
    for seed in range(3):
        service.sql(f"UPDATE users SET description = '{noise(seed)}' WHERE user_id = 7")
        service.await_answer(7, 120, description=noise(seed))
    service.sql("UPDATE users SET username = 'ginevra' WHERE user_id = 7")
    service.await_answer(7, 120, username="ginevra", description=noise(2))
    service.sql("DELETE FROM users WHERE user_id = 7")
    service.await_absence(7, 120)
