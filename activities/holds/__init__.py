"""Holds: placed by people and misses, their clocks, and a part of them released or forfeited."""
