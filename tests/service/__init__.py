"""The service: its database, keys, quotas and sessions, on SQLite and on PostgreSQL."""
