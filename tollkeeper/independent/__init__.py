"""What the other side runs: it imports nothing else of this product."""
