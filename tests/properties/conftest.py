"""How long Hypothesis looks: long enough to find a wrong sign, short enough to be run at every change."""

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "here", deadline=None, max_examples=200, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("here"), max_examples=20_000)
# What is drawn depends on the constants in the source, so that moving a module may hide a bug from 200 draws.
settings.register_profile(
    "bugs",
    settings.get_profile("ci"),
    max_examples=2_000,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    database=None,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "here"))
