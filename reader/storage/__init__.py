"""The local copy of the topic on disk: the reader's only folder that imports LMDB. Knows neither Kafka nor HTTP."""
