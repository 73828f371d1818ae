"""A contract in plain words, English and Chinese side by side, generated from its document. Pure."""
