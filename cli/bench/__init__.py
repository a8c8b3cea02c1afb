"""``hfzmq bench``: how fast the mesh is, against a bare sketch of the same durable work in the same run."""
