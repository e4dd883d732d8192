"""Captures tables by polling: rows of PostgreSQL in, changelog topics out, where no logical decoding is allowed."""
