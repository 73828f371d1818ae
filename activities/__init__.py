"""Everything that touches the outside, one system or one kind of effect per file."""
