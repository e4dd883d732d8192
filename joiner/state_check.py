"""Whether the joined state belongs to the topics: the group's, as its ledger says, and this process's stores.

Checked before the loop begins, so that it never starts on state of other topics. What does not match is decided in
joiner.core.compatibility.
"""

import logging
import shutil
import time
from typing import NamedTuple

from joiner import rebuild
from joiner.context import Context
from joiner.core.build import Build
from joiner.core.compatibility import ClusterFacts, choose_hint, find_mismatches
from joiner.core.key_forms import KeyForms
from joiner.kafka.ledger import Ledger
from joiner.kafka.offsets import read_cluster_facts, read_extents
from joiner.kafka.topics import PreparedTopics
from joiner.settings import JoinerSettings
from shared.errors import StateError

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 10.0
"""How long a broker that has just started may take to know the ends of its partitions again."""


class CheckedState(NamedTuple):
    """What a state that belongs to its topics begins with.

    Args:
        facts: what was found.
        build: the group's; None: its state was joined before builds were noted, and is whole.
        key_forms: what is known of the source topics' keys.
    """

    facts: ClusterFacts
    build: Build | None
    key_forms: KeyForms


def check_state(context: Context, prepared: PreparedTopics) -> CheckedState:
    """Make sure that the group's state belongs to the topics; note what it belongs to where it is new.

    Args:
        context: what the process keeps.
        prepared: the joiner's topics.

    Raises:
        StateError: the state does not belong to the topics, or a topic has keys of two forms.
    """
    settings = context.settings
    ledger = Ledger(context.client, prepared.ledger)
    # The ledger after the topics: another joiner may be starting the group at this moment.
    facts = read_cluster_facts(context.admin, context.client, settings, prepared)
    noted = ledger.read()
    mismatches = find_mismatches(noted, facts)
    retry_until = time.monotonic() + SETTLE_SECONDS
    while mismatches and facts.is_behind and time.monotonic() < retry_until:
        time.sleep(1)
        facts = read_cluster_facts(context.admin, context.client, settings, prepared)
        mismatches = find_mismatches(noted, facts)
    _refuse(mismatches)
    if noted.inputs is None:
        partitions = range(facts.inputs.topics[settings.user_info_topic].partitions)
        ends = read_extents(context.admin, [(settings.user_info_topic, partition) for partition in partitions])
        user_info_ends = [extent.high for _, extent in sorted(ends.items())]
        rebuild.begin_build(ledger, context.client, settings, facts, user_info_ends)
        noted = ledger.read()
        _refuse(find_mismatches(noted, facts))  # with another view, another joiner may have begun the state first
    elif facts.is_forgotten:
        logger.warning("the group's committed offsets are lost; reading the sources again, which changes no count")
    _drop_foreign_stores(settings, facts, prepared)
    if noted.rebuild is not None:
        rebuild.adopt_rebuild(ledger, noted, facts, settings)
        noted = ledger.read()
    return CheckedState(facts, noted.build, KeyForms(settings.sources, noted, ledger.note_key_form, context.avro))


def _refuse(mismatches: list[str]) -> None:
    if mismatches:
        raise StateError("; ".join(mismatches), hint=choose_hint(mismatches))


def _drop_foreign_stores(settings: JoinerSettings, facts: ClusterFacts, prepared: PreparedTopics) -> None:
    """Delete local stores that belong to other changelogs; they are restored from Kafka."""
    mark = settings.joiner_state_dir / "changelogs"
    wanted = " ".join(f"{name}={facts.inputs.topics[name].id}" for name in sorted(prepared.changelogs))
    if settings.local_state.exists() and (not mark.exists() or mark.read_text() != wanted):
        logger.warning("the local state belongs to other changelogs; restoring it from Kafka")
        shutil.rmtree(settings.local_state)
    mark.write_text(wanted)
