"""The journal: posted to, sealed, and closed month by month."""
