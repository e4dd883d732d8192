"""For any view, and any history of rows and joiners, user-info ends as the view's SQL over the final tables says."""

from hypothesis import given

from tests.support.schedules import Schedule, play, schedules
from tests.support.view_strategies import ViewHistory, view_histories
from tests.support.view_truth import expected_records


@given(view_histories(), schedules)
def test_user_info_equals_the_views_sql(history: ViewHistory, schedule: Schedule) -> None:
    """Every record is, byte for byte, what the SQL gives; other ids have none, and no row is a dead letter."""
    cluster = play(history.events, schedule, history.view)
    assert [] == cluster.dead_letters
    assert expected_records(history.view, history.tables) == cluster.user_info()
