"""``hfzmq doctor``: everything about this machine and its mesh that can be wrong before it goes wrong."""
