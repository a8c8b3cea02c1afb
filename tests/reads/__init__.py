"""How long people wait for what is stored: ``python -m tests.reads``."""
