"""The joiner as a process: its locks, its background threads, and the loop.

Guarantees: the loop never starts on state that does not belong to the topics. Where Kafka breaks it off, it begins
again from the last commit, and a joiner that has run once waits for Kafka as long as it takes.
"""

import hashlib
import logging
import math
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from joiner.attempts import Attempts
from joiner.background.builds import BuildRelay, describe_wait
from joiner.background.heartbeats import HeartbeatRelay
from joiner.background.maintenance import Maintenance
from joiner.background.pause_detector import PauseDetector
from joiner.background.progress import CommittedProgress
from joiner.context import Context
from joiner.health import Health
from joiner.kafka import config, topics
from joiner.kafka.shape import write_shape
from joiner.metrics import Metrics, folder_bytes
from joiner.queries.claim_relay import ClaimRelay
from joiner.queries.claims import Claim
from joiner.queries.responses import UserQueries
from joiner.rebuild import mark_empty
from joiner.registry import decoders
from joiner.schema_wait import await_schema
from joiner.settings import JoinerSettings
from joiner.state_check import check_state
from shared import lock, logs
from shared.errors import Interrupted, RegistryAway, StateError
from shared.health import serve_health
from shared.shape import Shape

if TYPE_CHECKING:
    from joiner.engine.application import JoinerApplication

logger = logging.getLogger(__name__)

QUIET_LOGGERS = {**decoders.QUIET_LOGGERS, "quixstreams": "WARNING", "quixstreams.state.recovery": "DEBUG"}
"""Quix logs each of its steps; of those, only what it restores concerns an operator."""


def run(settings: JoinerSettings) -> None:
    """Join until told to stop.

    Raises:
        UserInformationError: the joiner cannot run; its hint says what to do.
    """
    _end_on_signals()
    logs.configure(settings.log_level, settings.log_format, QUIET_LOGGERS)
    for variable, meant in settings.find_misspelt().items():
        logger.warning("%s is set, but no topic has this variable; is %s meant?", variable, meant)
    properties = config.load_properties(settings)
    locks = take_locks(settings)
    health, metrics = Health(), Metrics()
    metrics.state_bytes.set_function(lambda: folder_bytes(settings.local_state))
    metrics.disk_free_bytes.set_function(lambda: shutil.disk_usage(settings.joiner_state_dir).free)
    metrics.ready.set_function(lambda: health.ready)
    queries = _prepare_queries(settings, metrics)
    if settings.joiner_http_port:
        further = None if queries is None else queries.respond
        serve_health(health.respond, metrics.text, settings.http_endpoint, further)
    admin = AdminClient(config.client_config(settings, properties))
    avro = decoders.open_decoder(settings, settings.schema_registry_patience_seconds)
    _run_until_stopped(Context(settings, properties, admin, health, metrics, queries, avro))
    logger.info("stopped")
    for held in locks:
        held.close()


def _prepare_queries(settings: JoinerSettings, metrics: Metrics) -> UserQueries | None:
    """Return what answers for users; None where that is not wanted."""
    if not settings.joiner_serves_users or settings.joiner_advertised_url is None:
        return None
    url = settings.joiner_advertised_url.rstrip("/")
    queries = UserQueries(settings.plan, Claim(settings.joiner_instance_id, url), metrics)
    metrics.served_parts.set_function(lambda: len(queries.held.list_served()))
    return queries


def take_locks(settings: JoinerSettings) -> list[IO[str]]:
    """Take the locks of this process's folder and id; they are held until they are closed.

    Raises:
        AlreadyRunning: another process has one of them.
    """
    return [
        lock.acquire(settings.joiner_state_dir / "lock", f"JOINER_STATE_DIR={settings.joiner_state_dir}"),
        lock.acquire(
            _id_lock(settings), f"JOINER_INSTANCE_ID={settings.joiner_instance_id} of {settings.joiner_group}"
        ),
    ]


def _id_lock(settings: JoinerSettings) -> Path:
    """Return the lock of this id on this machine; other machines are fenced by Kafka itself."""
    identity = hashlib.sha256(f"{settings.kafka_bootstrap_servers} {settings.transactional_id}".encode()).hexdigest()
    return Path(tempfile.gettempdir()) / f"user-info-joiner-{identity[:16]}.lock"


def _run_until_stopped(context: Context) -> None:
    """Run the loop, and again from the last commit where Kafka broke it off."""
    patience, attempts = context.settings.joiner_wait_for_topics_seconds, Attempts()
    # Kept until the process ends: freeing a Kafka client whose connections were cut off can block the thread that frees
    # it, whichever that is.
    retired: list[object] = []
    while True:
        progress = CommittedProgress()
        context.metrics.seconds_since_commit.set_function(partial(_seconds_since_commit, progress))
        try:
            _run_once(context, progress, patience, retired)
        except RegistryAway as away:
            _end_on_signals()
            await_schema(context, away)
            patience = math.inf
        except (Interrupted, KafkaException) as error:
            pause_seconds = attempts.note_end(error, progress)
            logger.warning("%s; beginning again from the last commit", error)
            context.health.enter("waiting", str(error))
            context.metrics.restarts.inc()
            patience = math.inf
            _end_on_signals()
            time.sleep(pause_seconds)
        else:
            return


def _seconds_since_commit(progress: CommittedProgress) -> float:
    return time.monotonic() - progress.committed_at


def _end_on_signals() -> None:
    """Have a signal end the process while its loop, which handles signals itself, does not run."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(*_: object) -> None:
    logger.info("stopped")
    sys.exit(0)


def _run_once(context: Context, progress: CommittedProgress, patience: float, retired: list[object]) -> None:
    """Run the loop once, with its background threads.

    Args:
        context: what the process keeps.
        progress: what this run commits.
        patience: how many seconds to wait for topics.
        retired: is given the application, which outlives its loop.

    Raises:
        Interrupted, KafkaException: Kafka broke it off.
        StateError: continuing would not be exact.
    """
    settings = context.settings
    prepared = topics.prepare_topics(
        context.admin, settings, lambda problem: context.health.enter("waiting", problem), patience
    )
    mark_empty(context, prepared)
    with ThreadPoolExecutor(1) as executor:
        # Otherwise Kafka would not say what the group has committed before that transaction's time-out.
        ended = executor.submit(config.abort_open_transaction, settings, context.properties)

        # Imported late: it takes a second, which should not delay the message about a wrong setting.
        from joiner.engine.application import JoinerApplication  # noqa: PLC0415

        ended.result()
    checked = check_state(context, prepared)
    write_shape(context.client, settings.user_info_topic, prepared.user_info_partitions, Shape.of(settings.view))
    logger.info("joining as %s", settings.transactional_id)
    progress.build, progress.waits_for = checked.build, describe_wait(settings)
    with ExitStack() as background:
        detector = background.enter_context(PauseDetector())
        background.enter_context(Maintenance(context, checked.facts, progress, prepared.warned))
        background.enter_context(
            BuildRelay(context, list(checked.facts.sources), prepared.changes_partitions, progress)
        )
        if settings.heartbeats_topic is not None:
            background.enter_context(HeartbeatRelay(context, settings.heartbeats_topic, checked.facts.inputs, progress))
        if context.queries is not None:
            context.queries.parts = prepared.changes_partitions
            background.enter_context(ClaimRelay(context.client, prepared.ledger, context.queries))
        application = JoinerApplication(context, prepared, checked.key_forms, progress)
        retired.append(application)
        _join(application, detector, settings)


def _join(application: "JoinerApplication", detector: PauseDetector, settings: JoinerSettings) -> None:
    """Join until told to stop.

    Raises:
        Interrupted, StateError: as of `JoinerApplication.join`.
    """
    try:
        application.join()
    except Interrupted as error:
        # Its handlers of signals only note for its loop, which has ended, that it shall stop.
        _end_on_signals()
        if not application.stop_requested:
            _stop_if_paused(detector, settings, error)
            raise
        logger.warning("stopped without committing the last records, which the next start reads again: %s", error)


def _stop_if_paused(detector: PauseDetector, settings: JoinerSettings, error: Interrupted) -> None:
    """End a zombie: after a pause longer than its session, Kafka says what it broke off, but not why.

    Raises:
        StateError: this process was paused.
    """
    if detector.longest_pause_seconds > config.session_seconds(settings):
        raise StateError(
            f"this joiner was paused for {detector.longest_pause_seconds:.0f} s, longer than its session, so other"
            " joiners may own its partitions; it ends without committing",
            hint="start it again",
        ) from error
