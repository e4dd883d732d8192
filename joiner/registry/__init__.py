"""The schema registry outside the engine: its requests, and who waits how long for it."""
