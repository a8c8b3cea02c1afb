"""Alarms a ward can live with, pure: ``machine.Alarms`` is the door, ``rules`` what a site may set, ``types`` the rows.

Touches nothing: no clock, no chance, no disk. Equal entries in equal order make equal alarms on every peer."""
