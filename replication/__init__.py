"""Follows the topic into a copy, whatever that is kept in: what reader and sinks have in common.

Knows neither Kafka's client, which is in `replication.kafka` alone, nor what a copy is kept in, nor HTTP.
"""
