"""The built-in view, compiled, and its tables."""

from joiner.core.plan import compile_view
from shared.view.model import BUILT_IN

PLAN = compile_view(BUILT_IN)
TABLES = tuple(PLAN.tables.values())
USERS, TWEETS, FOLLOWS, LIKES = TABLES
