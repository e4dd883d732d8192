"""Settings of programs that know the source topics: the view, and which topic carries each of its tables' changelog.

A topic is what its table's variable says, else what the view's file says, else it is called as the table.
"""

import os
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from shared.errors import SettingError
from shared.settings import KafkaSettings, TopicName
from shared.view.file import read_view
from shared.view.model import BUILT_IN, Source, View, topic_variable

_SUFFIX = "_TOPIC"

_NEAR = 0.85
"""How alike names are of which one is a slip, such as ORDER_TOPIC; other programs may have variables of the kind."""


def _read_topic_variables() -> dict[str, str]:
    """Return the variables that may name topics: which of them do is known once the view is read."""
    return {name.upper(): topic for name, topic in os.environ.items() if name.upper().endswith(_SUFFIX) and topic}


class SourceSettings(KafkaSettings):
    """The view and its topics. Each table of a view has a variable; `--help` lists those of the built-in one."""

    user_info_view: Path | None = Field(
        None, description="File that declares tables and record, as docs/view.md shows; unset: the built-in view."
    )
    users_topic: TopicName = Field("users", description="Changelog topic of the table users.")
    tweets_topic: TopicName = Field("tweets", description="Changelog topic of the table tweets.")
    follows_topic: TopicName = Field("follows", description="Changelog topic of the table follows.")
    likes_topic: TopicName = Field("likes", description="Changelog topic of the table likes.")
    _topic_variables: dict[str, str] = PrivateAttr(default_factory=_read_topic_variables)

    @cached_property
    def view(self) -> View:
        """The view.

        Raises:
            ViewError: its file cannot be read, or declares none.
        """
        return BUILT_IN if self.user_info_view is None else read_view(self.user_info_view)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Source topic -> the table whose changelog it is, the record's own first."""
        return {self._find_topic(source): source for source in self.view.sources}

    def topic_names(self) -> dict[str, str]:
        """Return variable name -> topic name for every topic that is set, those of the view's tables included."""
        built_in = {topic_variable(source.table) for source in BUILT_IN.sources}
        others = {name: topic for name, topic in super().topic_names().items() if name not in built_in}
        return {topic_variable(source.table): self._find_topic(source) for source in self.view.sources} | others

    def find_misspelt(self) -> dict[str, str]:
        """Return each variable that looks like that of a topic, and is none, with the one that is probably meant."""
        fields = {name.upper() for name in type(self).model_fields if name.endswith(_SUFFIX.lower())}
        known = fields | self.topic_names().keys()
        unset = known - self._topic_variables.keys()
        near = {each: get_close_matches(each, unset, 1, _NEAR) for each in self._topic_variables if each not in known}
        return {variable: meant[0] for variable, meant in near.items() if meant}

    def _find_topic(self, source: Source) -> str:
        variable = topic_variable(source.table)
        if variable.lower() in type(self).model_fields:
            # Its default is the table's name, and the file's word counts for more.
            return str(getattr(self, variable.lower())) if variable.lower() in self.model_fields_set else source.topic
        return self._topic_variables.get(variable, source.topic)

    @model_validator(mode="after")
    def _topics_are_names(self) -> Self:
        for variable, topic in self.topic_names().items():
            try:
                TypeAdapter(TopicName).validate_python(topic)
            except ValidationError as error:
                raise SettingError(
                    f"{variable}: {error.errors()[0]['msg']} (it is {topic!r})", "name a topic"
                ) from None
        return self
