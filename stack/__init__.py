"""The local stack: real Kafka, PostgreSQL and Kafka Connect from packages, for `make run` and for the tests."""
