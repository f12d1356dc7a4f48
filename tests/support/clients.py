"""Clients that ask all the time while a test does something to what they ask."""

import threading
import time

from support.live import until


class Clients:
    """One thread for each piece of work, done again and again; `lost` is what went wrong, and when."""

    def __init__(self, *works):
        self.lost, self.done = [], 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def _run(self, work):
        while not self._stop.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001  whatever it is, it is a loss
                self.lost.append((time.time(), repr(error)))
            else:
                self.done += 1
            time.sleep(0.003)

    def more(self, number=60):
        """Wait for so many more answers."""
        wanted = self.done + number
        until(lambda: self.done >= wanted, 'clients are answered')

    def stop(self):
        """End, and return what went wrong."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        return self.lost
