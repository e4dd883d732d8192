"""The reader's process: takes the lock and the port, follows the topic, serves until told to stop."""

import asyncio
import logging
import socket
from pathlib import Path

from reader.app import build_application
from reader.http.server import (
    StopSignal,
    choose_loop_factory,
    make_run_between_reads,
    prepare_limits,
    serve,
)
from reader.replication.replicator import Replicator
from reader.settings import ReaderSettings
from reader.status.counters import ResponseCounters
from reader.status.prometheus import render_metrics
from reader.storage.generations import Generations, refuse_foreign
from reader.storage.snapshot import SnapshotRefused, install
from reader.workers.shared_memory import SharedMemory
from reader.workers.supervisor import Supervisor
from replication.kafka.config import check_credentials, validate_properties
from shared import lock, logs
from shared.listening import listen, listen_per_worker

logger = logging.getLogger("reader")


def run(settings: ReaderSettings) -> None:
    """Serve until told to stop.

    Raises:
        UserInformationError: the reader cannot start; the hint says what to do.
    """
    logs.configure(settings.log_level, settings.log_format)
    properties = validate_properties(settings.kafka_properties)
    refuse_foreign(settings.reader_state_dir)
    folder_lock = lock.acquire(settings.reader_state_dir / "lock", f"READER_STATE_DIR={settings.reader_state_dir}")
    workers = settings.reader_workers
    listeners = [listen(settings.endpoint)] if workers == 1 else listen_per_worker(settings.endpoint, workers)
    if settings.reader_snapshot is not None:
        _install_snapshot(settings.reader_snapshot, settings.reader_state_dir)
    generations = Generations(settings.reader_state_dir)
    try:
        # A complete copy is served even if Kafka refuses the credentials or cannot be reached.
        if not generations.live.complete:
            check_credentials(settings.kafka_bootstrap_servers, properties)
        with asyncio.Runner(loop_factory=choose_loop_factory()) as loop:
            serving = _serve_here if len(listeners) == 1 else _serve_in_workers
            loop.run(serving(settings, properties, generations, listeners))
    finally:
        generations.close()
        folder_lock.close()
    logger.info("stopped")


def _install_snapshot(snapshot: Path, state: Path) -> None:
    try:
        if install(snapshot, state):
            logger.info("starting from the snapshot %s", snapshot)
    except SnapshotRefused as refusal:
        logger.warning("the snapshot %s is refused: %s; the topic is replayed instead", snapshot, refusal)


async def _serve_here(
    settings: ReaderSettings, properties: dict[str, str], generations: Generations, listeners: list[list[socket.socket]]
) -> None:
    """Follow the topic in a thread, and serve in this process."""

    def release() -> None:
        application.users.release()

    replicator = Replicator(
        settings, properties, generations, make_run_between_reads(asyncio.get_running_loop(), release)
    )
    status = replicator.status
    stop_signal = StopSignal(replicator.stopping.set)
    counters = ResponseCounters()
    application = build_application(
        settings,
        stop_signal,
        open_view=generations.view,
        readiness=lambda: status.readiness,
        is_alive=lambda: replicator.alive,
        render_metrics=lambda: render_metrics([counters], replicator.report_status(), settings.shard),
        counters=counters,
    )
    replicator.start()
    await serve(application, listeners[0], prepare_limits(settings), stop_signal)
    await asyncio.to_thread(replicator.stop)


async def _serve_in_workers(
    settings: ReaderSettings, properties: dict[str, str], generations: Generations, listeners: list[list[socket.socket]]
) -> None:
    """Follow the topic in a thread, and have other processes serve the same copy."""
    replicator = Replicator(
        settings, properties, generations, make_run_between_reads(asyncio.get_running_loop(), lambda: None)
    )
    replicator.start()
    memory = SharedMemory.create(settings.reader_state_dir, len(listeners) + 1)
    try:
        supervisor = Supervisor(listeners, memory, replicator.report_status, generations.release_dead_readers)
        await supervisor.run(replicator.stopping.set)
    finally:
        memory.close()
    await asyncio.to_thread(replicator.stop)
