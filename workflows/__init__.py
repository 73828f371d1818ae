"""One business process per file, readable from `run` down."""
