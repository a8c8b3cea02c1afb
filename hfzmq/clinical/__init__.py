"""Medicine, pure: reports and their valid ranges, risk tiers. Knows no mesh, no socket, no disk."""
