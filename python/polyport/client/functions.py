"""What a server has to call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function."""

    name: str
    #: The name of its type, ``any`` where none is declared.
    type: str
    #: Whether ``None`` is taken as it is.
    nullable: bool
    #: Whether an argument must be given.
    required: bool
    #: What is used where none is given, if the server knows it.
    default: Any
    #: Whether it takes all further arguments by position.
    rest: bool
    #: Whether it takes all arguments by name that no other parameter has.
    named_rest: bool
    #: Whether it is not taken by position.
    only_named: bool


@dataclass(frozen=True)
class Function:
    """A function that the user may call."""

    name: str
    #: Its parameters and its result, such as ``(a: int, b: int = 10) -> int``.
    signature: str
    #: Its documentation.
    help: str
    parameters: tuple[Parameter, ...]
    #: The name of the type of its result.
    returns: str
    #: ``read`` or ``write`` for an object's property.
    property: str | None

    def __str__(self) -> str:
        return f"{self.name}{self.signature}\n\n{self.help}".rstrip()


def from_json(described: dict[str, Any]) -> Function:
    """A function as the server describes it."""
    parameters = tuple(
        Parameter(
            name=each["name"],
            type=each["type"],
            nullable=each["nullable"],
            required=each["required"],
            default=each.get("default"),
            rest=each["rest"],
            named_rest=each.get("named_rest", False),
            only_named=each.get("only_named", False),
        )
        for each in described["parameters"]
    )
    return Function(
        name=described["name"],
        signature=described["signature"],
        help=described["help"],
        parameters=parameters,
        returns=described["returns"],
        property=described["property"],
    )
