"""The joiner: four changelog topics in, one topic of user-info records out."""
