"""Tests: pure logic, properties, a real Kafka, the whole way."""
