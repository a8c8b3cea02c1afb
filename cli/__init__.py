"""What you type: the commands of hfzmq and its screens. Speaks to daemons over the wire, like any client."""
