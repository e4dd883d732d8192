"""Talks to Kafka outside the engine: client configuration, topics, offsets, scans, the group's ledger."""
