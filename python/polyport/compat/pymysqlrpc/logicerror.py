"""The error that a function means to give."""

import polyport


class LogicError(polyport.LogicError):
    """An error with a number, which MySQL clients receive: ``raise LogicError(1234, "no such")``."""

    def __init__(self, errno: int, errmsg: str) -> None:
        super().__init__(errno, errmsg)

    @property
    def errmsg(self) -> str:
        """The text."""
        return self.message

    def __repr__(self) -> str:
        return f"LogicError({self.errno},{self.message!r})"
