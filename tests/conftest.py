"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Tests run beside others on shared processors: how long an example takes says nothing of what is tested.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")
