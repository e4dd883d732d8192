"""The view: which tables a record is joined from, what of them it shows, and how. Read from a file, or built in."""
