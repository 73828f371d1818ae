"""The database schema: plain SQL scripts, run in order by Alembic under an advisory lock."""
