"""Epochs: the numbers by which the controller learns how far an agent has come.

The controller numbers the Services that it hands over in order. An agent that has applied the Service of one number has
applied those of all lower numbers too.
"""


class Epochs:
    """The epochs of the Services that one agent has taken from its store, and the highest that it has applied."""

    def __init__(self) -> None:
        self.applied = 0
        self._taken = 0

    def take(self, number: int) -> None:
        """Note the epoch of a Service that was taken."""
        self._taken = max(self._taken, number)

    def apply(self) -> None:
        """Note that all that was taken serves."""
        self.applied = self._taken
