"""What runs: sockets, a clock and a disk around the core. One thread, one Poller loop; see ``node``."""
