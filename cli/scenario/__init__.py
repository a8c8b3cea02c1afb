"""``hfzmq scenario``: faults by name, injected into real processes, and the proof in the peers' own files."""
