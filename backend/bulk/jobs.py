"""What a bulk run does with each item, wherever it does it; sent to the workers of a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any


class BulkJob(ABC):
    """A run: items are read, then worked on many at a time by whoever holds the model.

    An object holds only what can be pickled. Whatever is wrong with an item is a result too: an
    exception is a defect.
    """

    def prepared(self) -> "BulkJob":
        """The job with what only a worker can find out; asked once, before all else.

        Raises:
            InputError: it cannot be done, for a reason that its owner can mend.
        """
        return self

    def read(self, item: Any) -> Any:
        """What an item needs of the disk or the network, away from the model."""
        return item

    @abstractmethod
    def load(self) -> Callable[[Sequence[Any]], list[list[Any]]]:
        """Load the model: what then turns items that were read into the results of each."""

    @abstractmethod
    def split(self, item: Any) -> list[Any]:
        """The smallest items one consists of, to find what kills its worker."""

    @abstractmethod
    def lost(self, item: Any, reason: str) -> list[Any]:
        """The results of an item that was given up."""
