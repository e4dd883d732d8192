"""The local copy of the topic on disk; the only folder that imports LMDB. Knows neither Kafka nor HTTP."""
