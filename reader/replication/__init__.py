"""Replicates the topic into a copy on disk: the reader's only folder that imports Kafka's client."""
