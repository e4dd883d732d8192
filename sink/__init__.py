"""Keeps the view in a store that other programs read: PostgreSQL or Redis. Knows neither joiner nor reader."""
