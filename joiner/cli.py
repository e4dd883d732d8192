"""`python -m joiner` and its commands: `reset`, `dead-letters`, `view`."""

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from joiner import rebuild, service
from joiner.dead_letters.cli import dead_letters
from joiner.kafka import config, topics
from joiner.kafka.ledger import Ledger
from joiner.settings import JoinerSettings
from joiner.view_command import view
from shared import logs
from shared.cli import Program
from shared.kafka import to_kafka_error
from shared.progress import ProgressBar
from shared.settings import describe_settings, read_settings


@click.group(
    invoke_without_command=True,
    epilog=f"\b\nSettings, all environment variables:\n{describe_settings(JoinerSettings)}\n"
    "  KAFKA_<PROPERTY>\n      Any property of librdkafka, such as KAFKA_SECURITY_PROTOCOL=ssl.",
    context_settings={"max_content_width": 100},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Join the changelog topics of a view's tables into the topic user-info.

    USER_INFO_VIEW declares the view; without it, it is that of users, tweets, follows and likes.
    Runs until SIGTERM or SIGINT; then it commits what it has joined and ends. To share the work, start more processes
    with the same JOINER_GROUP, each with its own JOINER_INSTANCE_ID, JOINER_STATE_DIR and JOINER_HTTP_PORT.
    """
    if context.invoked_subcommand is None:
        service.run(read_settings(JoinerSettings))


@main.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def reset(*, yes: bool) -> None:
    """Delete the joined state; the next start joins the source topics from scratch.

    Deletes the group's offsets, its changelogs, the internal topic and the local state of this JOINER_STATE_DIR (other
    joiners delete theirs at their next start). user-info stays, and readers serve it all the time; users that the
    sources no longer have get a tombstone once the sources have been read. Refused while a joiner of the group runs.
    """
    settings = read_settings(JoinerSettings)
    logs.configure(settings.log_level, settings.log_format)
    client = config.client_config(settings, config.load_properties(settings))
    if not yes:
        click.confirm(
            f"Delete the state of the group {settings.joiner_group} and the topic"
            f" {settings.user_info_changes_topic} at {settings.kafka_bootstrap_servers}?",
            abort=True,
        )
    locks = service.take_locks(settings)
    admin = AdminClient(client)
    topics.prepare_ledger(admin, settings)
    with ProgressBar("reset", lines=False) as bar:
        rebuild.reset_state(admin, Ledger(client, settings.ledger_topic), settings, bar.show)
    for held in locks:
        held.close()
    click.echo(f"The group {settings.joiner_group} has no state any more; start its joiners to join from scratch.")


main.add_command(dead_letters)
main.add_command(view)

PROGRAM = Program(main, {KafkaException: to_kafka_error}, imported_late=("quixstreams", "rocksdict"))
