"""The topic as Kafka's client gives it: for whoever follows it, the only folder that imports this client."""
