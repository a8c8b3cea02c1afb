"""Mistakes that people make, each made on purpose through the real command line, and what hfzmq says to them."""
