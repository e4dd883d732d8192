"""Source records that could not be read: their form, what may be replayed, and the command that does it."""
