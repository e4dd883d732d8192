"""Every error that this service raises on purpose: what happened, and what to do about it.

UserInformationError            anything below
├── SettingError                an environment variable is wrong; names the variable
├── ViewError                   the view's file is wrong; names file, section and key
├── KafkaError                  Kafka cannot be reached, or refuses a request
│   └── Interrupted             work in progress is lost, committed work is not: continue from the last commit
│       ├── Refused             the same, but Kafka will refuse it again unless something else is changed
│       └── RegistryAway        the same, for want of a schema: continue once the schema registry has given it
├── RegistryError               the schema registry refuses the joiner, or is none
├── TopicError                  a topic is missing, or is not what it must be; names the topic
├── BadRow                      a source record that no row can be read from: it becomes a dead letter
└── StateError                  local state and its inputs do not fit together
    └── AlreadyRunning          another process uses this id, folder or port
"""


class UserInformationError(Exception):
    """The root: a program's edge shows both parts to a person and ends with status 1.

    Args:
        what: what happened, naming the setting, topic or file concerned.
        hint: what to do about it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Return both parts in one line, as a log shows them."""
        return f"{self.what}; {self.hint}" if self.hint else self.what


class SettingError(UserInformationError):
    """A setting that cannot be used; the message begins with the variable's name."""


class ViewError(UserInformationError):
    """A view that cannot be joined; the message begins with its file, the section and the key."""


class KafkaError(UserInformationError):
    """Kafka cannot be reached, or refuses what was asked of it."""


class Interrupted(KafkaError):  # noqa: N818 - reads as what it reports
    """Kafka broke off work in progress; continuing from the last commit loses and doubles nothing."""


class Refused(Interrupted):
    """Kafka refused what was written, by a rule that waiting does not change; it did not say for which topic.

    The next attempt checks and reads what the topics allow; where it is refused as well, no later one will do better.
    """


class RegistryAway(Interrupted):
    """A schema cannot be had yet; nothing is wrong with what was read, nor with Kafka.

    Args:
        what: why not.
        hint: what to do about it.
        schema_id: the schema's.
    """

    def __init__(self, what: str, hint: str, schema_id: int) -> None:
        super().__init__(what, hint)
        self.schema_id = schema_id


class RegistryError(UserInformationError):
    """The schema registry refuses requests for a reason that waiting does not change, or is none."""


class TopicError(UserInformationError):
    """A topic that is missing, or is not what the service needs it to be."""


class BadRow(UserInformationError):  # noqa: N818 - it names the record's fate, not a failure of ours
    """A source record that no row can be read from.

    Args:
        reason: one word for metrics and headers, such as ``bad-json``.
        detail: what a person needs to know to correct it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class StateError(UserInformationError):
    """Local state that does not fit its inputs."""


class AlreadyRunning(StateError):  # noqa: N818 - reads as what it reports
    """Another process already uses this id, folder or port."""
