"""A clock that a test moves."""


class FakeClock:
    """A clock that moves only when `infer` is called."""

    def __init__(self, calls_ns: list[int]) -> None:
        self._calls_ns, self._now_ns = iter(calls_ns), 0

    def now_ns(self) -> int:
        return self._now_ns

    def infer(self, _tensor: int) -> None:
        self._now_ns += next(self._calls_ns)
