"""Hostile traffic on every port of real daemons, and whether honest clients notice: ``python -m tests.fuzz``."""
