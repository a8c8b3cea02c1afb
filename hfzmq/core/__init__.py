"""Replication and election, pure: no socket, clock, disk, logger or thread.

One door: ``replica.Replica.step(now_ms, event) -> list[Effect]``. Time is an argument and chance a seeded ``Random``
handed in, so that the same core runs in the daemon and under the simulator. It knows no medicine: the body of an entry
is opaque.
"""
