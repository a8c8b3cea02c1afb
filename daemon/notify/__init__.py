"""How an alarm reaches people: a process of its own, which a dead or slow channel can hurt and the mesh cannot feel.

the loop -- post, withdraw --> Notifier --> its thread --> the notifier process --> one worker process a channel
         <-- results() -------          <--            <--                      <--
"""

from hfzmq.daemon.notify.notice import Delivered, Notice, words
from hfzmq.daemon.notify.notifier import Notifier

__all__ = ["Delivered", "Notice", "Notifier", "words"]
