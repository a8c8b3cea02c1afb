"""Power cuts and rot on real SQLite files: what a disk may do to them, and what the storage must make of it."""
