"""What tests share: one driver each for readers, joiners, topics and browsers, and the truth to compare with."""
