"""The tiers against a real Kafka."""
