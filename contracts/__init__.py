"""What was agreed: the contract document, money, indicators, scoring and calendars as data."""
