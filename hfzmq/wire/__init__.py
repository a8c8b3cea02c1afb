"""Bytes <-> messages: the only place that names msgpack.

Touches nothing. Keeps: whatever bytes come in, a decoder returns a value that holds its bounds or raises WireError.
"""
