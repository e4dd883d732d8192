"""Measures the poller: how fast it reads tables for the first time, and what it costs a database at rest."""
