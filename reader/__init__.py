"""The reader: the whole topic of user-info records in a local store, and answers out of it."""
