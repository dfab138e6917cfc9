"""Threads that work behind whoever asks."""

import logging
import threading

logger = logging.getLogger(__name__)


def started(thread: threading.Thread, otherwise: str) -> bool:
    """Start a thread; False where the system gives no more just now, and ``otherwise`` is logged.

    A container may have reached its limit for a moment. Whoever counts on the thread must not.
    """
    try:
        thread.start()
    except RuntimeError as error:
        logger.warning("%s: %s", otherwise, error)
        return False
    return True
