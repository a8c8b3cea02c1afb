"""``hfzmq bench``: how fast the mesh is, against a bare sketch in the same run."""
