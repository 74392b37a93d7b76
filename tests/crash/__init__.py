"""The crash tester: real clients, random kills, and three books that must agree.

Read in this order: books.py, violations.py, sessions.py, compare.py, schedule.py, cluster.py, sender.py, pauses.py, raw.py,
legacy_client.py, modern_client.py, library_client.py, run.py. docs/reliability.md says how to run it and how to read
what it says.
"""
