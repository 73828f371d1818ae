"""Everything that touches the outside: one system per file."""
