"""``hfzmq alarms``: what is open, who has seen it, what happened; ``commands`` is the door, the rest are its parts."""
