"""Every error that this service raises on purpose.

UserInformationError            anything below; its message says what to do next
├── SettingError                an environment variable is wrong; names the variable
├── KafkaError                  Kafka is out of reach, or refuses us
│   └── Interrupted             what was under way is lost, what was committed is not: begin again from there
├── TopicError                  a topic is missing, or not what it must be; names the topic
├── BadRow                      a source record that no row can be read from: it goes to the dead letters
├── StateError                  local state and its inputs do not fit together
│   └── AlreadyRunning          another process uses this id, folder or port
├── StackError                  the local stack could not do what was asked
└── MeasurementError            a measurement did not come to its end, or its outcome is wrong
"""


class UserInformationError(Exception):
    """The root: a program's edge shows its message to a person and ends with status 1."""


class SettingError(UserInformationError):
    """A setting that cannot be used; the message begins with the variable's name."""


class KafkaError(UserInformationError):
    """Kafka cannot be reached, or refuses what was asked of it."""


class Interrupted(KafkaError):  # noqa: N818 - reads as what it reports
    """Kafka broke off what was under way; beginning again from the last commit loses and doubles nothing."""


class TopicError(UserInformationError):
    """A topic that is missing, or is not what the service needs it to be."""


class BadRow(UserInformationError):  # noqa: N818 - it names the record's fate, not a failure of ours
    """A source record that no row can be read from.

    Args:
        reason: one word for metrics and headers, such as ``bad-json``.
        detail: what a person needs to mend it.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class StateError(UserInformationError):
    """Local state that does not fit its inputs."""


class AlreadyRunning(StateError):  # noqa: N818 - reads as what it reports
    """Another process already uses this id, folder or port."""


class StackError(UserInformationError):
    """The local stack could not do what was asked; carries the last lines of the log concerned."""


class MeasurementError(UserInformationError):
    """A measurement that did not come to its end, or whose outcome is not the truth: its figures mean nothing."""
