"""Decides: rows to changes, changes to records, whether state fits its topics. Pure: no I/O, no clock, no Kafka."""
