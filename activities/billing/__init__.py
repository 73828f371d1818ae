"""What is invoiced and what is taken back of it: milestones, advances, caps, shares, credit notes."""
