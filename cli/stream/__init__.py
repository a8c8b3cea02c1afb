"""``hfzmq stream``: heart rates, made up from a seed or replayed from a recording, brought to the mesh."""
