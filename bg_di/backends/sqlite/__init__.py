"""Durable tasks on a SQLite file: no server, one machine, a local disk."""
