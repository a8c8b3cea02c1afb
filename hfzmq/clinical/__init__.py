"""Medicine, pure: reports and heart rates with their valid ranges, risk tiers, alarms. No mesh, no socket, no disk."""
