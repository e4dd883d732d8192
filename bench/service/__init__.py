"""Measurements of the whole service, from a change in PostgreSQL to an HTTP answer."""
