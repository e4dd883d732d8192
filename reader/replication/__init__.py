"""Follows `user-info` from Kafka into the store; the only folder of the reader that talks to Kafka."""
