"""What may happen next: pure rules of steps, gates, milestones, bets, money; no clock, no I/O."""
