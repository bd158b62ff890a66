"""The order of the answers: a common queue, and a queue for each model that has one of its own."""

import threading
from collections import deque
from typing import Any

from tests.upstream.steps import Step, says


class Script:
    """A queue of answers; each request takes the next one. The default answers once the queue is empty."""

    def __init__(self, *, default: Step | None = None) -> None:
        self.default = default
        self._steps: deque[Step] = deque()

    def turns(self, *steps: Step) -> None:
        """Answer the next requests with these steps, in their order."""
        self._steps.extend(steps)

    def says(self, *args: Any, **kwargs: Any) -> None:
        """Answer the next request with `steps.says(...)`."""
        self.turns(says(*args, **kwargs))

    def next(self) -> Step | None:
        try:
            return self._steps.popleft()
        except IndexError:
            return self.default

    @property
    def left(self) -> list[Step]:
        """The answers nobody has asked for yet."""
        return list(self._steps)


class Scripts:
    """The scripts of all models. A model without a script, or at the end of its own, plays the common one."""

    def __init__(self, default: Step | None) -> None:
        self.common = Script(default=default)
        self._by_model: dict[str, Script] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> Script:
        with self._lock:
            return self._by_model.setdefault(model, Script())

    def next(self, model: str) -> Step | None:
        with self._lock:
            own = self._by_model.get(model)
        return (own and own.next()) or self.common.next()

    def left(self) -> list[Step]:
        with self._lock:
            scripts = [self.common, *self._by_model.values()]
        return [step for script in scripts for step in script.left]
