"""How long joiners' checkpoints are, and which of them crash or lose offsets; runs a history through such joiners."""

from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import strategies as st

from joiner.core.plan import compile_view
from shared.view.model import BUILT_IN, View
from tests.support.cluster import INTERNAL_PARTITIONS, Cluster
from tests.support.strategies import Event

Schedule: TypeAlias = list[tuple[int, list[int], str]]
"""For each checkpoint: how many events it reads, how many waiting records of each internal partition, how it ends."""

schedules = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.lists(st.integers(0, 3), min_size=INTERNAL_PARTITIONS, max_size=INTERNAL_PARTITIONS),
        st.sampled_from(["commits", "commits", "crashes", "loses offsets"]),
    ),
    max_size=8,
)


def play(events: Sequence[Event], schedule: Schedule, view: View = BUILT_IN) -> Cluster:
    """Run events through joiners whose checkpoints end, crash and lose offsets as the schedule says."""
    cluster = Cluster(compile_view(view))
    for count, internal, fate in schedule:
        if fate == "loses offsets":
            cluster.lose_offsets()
        cluster.run_checkpoint(events[:count], internal, crashes=fate == "crashes")
        events = events[count:]
    cluster.run_checkpoint(events, [0] * INTERNAL_PARTITIONS)
    cluster.finish()
    return cluster
