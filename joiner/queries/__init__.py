"""Answers of a joiner out of its own committed state, for as long as that is surely the newest there is."""
