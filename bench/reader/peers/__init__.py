"""What else could answer for a user, as small honest programs: each does its job in the shortest correct way."""
