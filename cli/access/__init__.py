"""``hfzmq keys``: who may speak to the mesh."""
