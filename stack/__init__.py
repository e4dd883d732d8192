"""The local stack: real Kafka, PostgreSQL and Kafka Connect out of packages, for `make run` and for the tests."""
