"""Stop a block of code after some seconds, whatever it does."""

from __future__ import annotations

import signal
import sys
import threading


class TimeUp(BaseException):
    """Raised in the learner's code when its time is up. No `except Exception` of theirs catches it."""


class time_limit:  # a name like those of contextlib
    """Raise `TimeUp` in the block when it has taken so long, on every system; only in the main thread, elsewhere never.

    It also ends a loop that catches everything: the next line that runs there raises once more, and that line is in no
    `try` or in the `except` of one.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.inside, self.up = False, False
        self._finished = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._main, self._tracing = threading.current_thread() is threading.main_thread(), sys.gettrace()
        self._block = sys._getframe(1)  # what the `with` statement is in
        if self._main:
            self._previous = signal.signal(signal.SIGINT, self._handle)
            self._watcher.start()
        self.inside = True

    def __exit__(self, *error):
        self.inside = False
        if self._main:
            self._finished.set()
            self._watcher.join()  # so that no interrupt comes after this
            sys.settrace(self._tracing)
            signal.signal(signal.SIGINT, self._previous or signal.default_int_handler)

    def _watch(self):
        pause = self.seconds
        while not self._finished.wait(pause):
            self.up, pause = True, 0.05
            _interrupt(threading.main_thread().ident)

    def _handle(self, number, frame):
        if not self.inside or frame.f_code is time_limit.__exit__.__code__:  # it comes while we enter or leave
            return
        if not self.up:
            if self._previous is signal.SIG_IGN:  # as it is in a grader
                return
            raise KeyboardInterrupt
        while frame is not None and frame is not self._block:  # what the block has called
            frame.f_trace = self._trace
            frame = frame.f_back
        sys.settrace(lambda *event: None)
        raise TimeUp

    def _trace(self, frame, event, argument):
        if event == "line" and self.inside:
            raise TimeUp
        return self._trace


def _interrupt(thread):
    """Interrupt the main thread, also where it sleeps."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)
    else:  # Windows, where this wakes a sleeper too
        import _thread

        _thread.interrupt_main()
