"""The outcome terms of a contract: what is measured, scored, gated, paid and kept, as data. Pure."""
