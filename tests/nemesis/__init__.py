"""Layer E: real daemons and real clients in network namespaces, and everything that may happen to them."""
