"""What the money stands in: the journal and its chain, the months, the rows of holds and requests."""
