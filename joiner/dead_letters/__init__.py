"""Source records that could not be read: their form, which may be replayed, and the command that does it."""
