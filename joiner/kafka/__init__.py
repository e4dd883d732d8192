"""Talks to Kafka outside the engine: configurations, topics, offsets, scans, writes, the group's ledger."""
