"""The bedside client behind ``hfzmq client``: readings come in, are judged here, and what matters goes to the mesh."""
