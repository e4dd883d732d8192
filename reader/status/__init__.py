"""What the reader says about itself: readiness, counters, metrics. Imports no server, no Kafka client and no store."""
