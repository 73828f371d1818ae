"""Holds: placed, their clocks, and a part of them released or forfeited."""
