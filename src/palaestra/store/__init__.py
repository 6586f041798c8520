"""Where records rest: the ledger of an arena (SQLite or PostgreSQL), Parquet tables, and other people's files.

The ledger is the truth and every leaderboard is a pure function of it. Nothing here ranks, renders or calls a model.
"""
