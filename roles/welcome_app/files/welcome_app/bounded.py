"""Work on a file system that may stop answering: whoever waits for it, waits for a while and not for ever.

A read from a file server that is away is not interrupted: it goes on when the server is back. So each piece of work has
a thread of its own. One that outlives its time is left behind, and while it is stuck nobody else begins: that the share
does not answer is then known at once. When the server is back, it ends, and all goes on by itself.
"""

import threading
import time

# So many at once in a process; more than that wait for nothing but the share.
AT_ONCE = 32


class Away(OSError):
    """The file system does not answer."""

    def __init__(self, what="the image store does not answer"):
        super().__init__(what)
        self.strerror = what


class Bounded:
    """Runs functions in threads that may be left behind."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = set()

    def run(self, seconds, function, undo=None):
        """The function's result, or its error, or `Away`. `undo` takes back what comes about when nobody waits any more."""
        work = _Work(function, undo, time.monotonic() + seconds)
        with self._lock:
            now = time.monotonic()
            if len(self._running) >= AT_ONCE or any(other.until < now for other in self._running):
                raise Away()
            self._running.add(work)
        # A daemon: it does not keep the process from ending.
        threading.Thread(target=self._thread, args=(work,), daemon=True).start()
        work.done.wait(seconds)
        with self._lock:
            work.left = not work.done.is_set()
        if work.left:
            raise Away()
        if work.error is not None:
            raise work.error
        return work.result

    def _thread(self, work):
        try:
            try:
                work.result = work.function()
            except Exception as error:  # pylint: disable=broad-except
                work.error = error
            with self._lock:
                if not work.left:
                    work.done.set()
            if work.left and work.error is None and work.undo is not None:
                work.undo()
        finally:
            with self._lock:
                self._running.discard(work)


class _Work:
    def __init__(self, function, undo, until):
        self.function = function
        self.undo = undo
        self.until = until
        self.done = threading.Event()
        self.left = False
        self.result = None
        self.error = None
