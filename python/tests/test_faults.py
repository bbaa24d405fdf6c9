from __future__ import annotations

import pickle

import pytest

import polyport
from polyport import faults, values
from polyport.faults import from_wire, to_wire

KINDS = {
    "syntax": (polyport.Syntax, ValueError),
    "not_found": (polyport.NotFound, LookupError),
    "arguments": (polyport.BadArguments, TypeError),
    "type": (polyport.BadType, TypeError),
    "denied": (polyport.Denied, PermissionError),
    "login": (polyport.LoginRefused, PermissionError),
    "raised": (polyport.Raised, RuntimeError),
    "timeout": (polyport.Timeout, TimeoutError),
    "cancelled": (polyport.Cancelled, polyport.Fault),
    "busy": (polyport.Busy, RuntimeError),
    "too_large": (polyport.TooLarge, ValueError),
    "conflict": (polyport.Conflict, RuntimeError),
    "unsupported": (polyport.Unsupported, NotImplementedError),
    "unavailable": (polyport.Unavailable, ConnectionError),
    "internal": (polyport.Internal, RuntimeError),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_an_exception_that_python_programs_know(kind: str) -> None:
    cls, usual = KINDS[kind]
    fault = from_wire({"kind": kind, "message": "text", "errno": 5, "attributes": {"a": 1}})
    assert type(fault) is cls
    assert isinstance(fault, usual)
    assert isinstance(fault, polyport.Fault)
    assert (str(fault), fault.kind, fault.errno) == ("text", kind, 5)
    again = pickle.loads(pickle.dumps(fault))
    assert (type(again), again.message, again.attributes) == (cls, "text", {"a": 1})


def test_a_fault_comes_back_as_it_was_sent() -> None:
    fault = polyport.Conflict("first", errno=7, attributes={"by": "ann"}, class_name="Taken")
    sent = values.unpack(values.pack(to_wire(fault)))
    back = from_wire(sent)
    assert type(back) is polyport.Conflict
    assert (back.message, back.errno, back.attributes) == ("first", 7, {"by": "ann"})
    assert (back.class_name, back.ran) == ("Taken", "yes")


class OutOfStock(polyport.Conflict):
    """A kind of failure of the application's own."""


class Refused(polyport.LogicError):
    """An error with a number of the application's own."""


class Bare(polyport.Denied):
    def __init__(self, item: str) -> None:
        self.item = item


class BareLogic(polyport.LogicError):
    def __init__(self) -> None:
        pass


def test_subclasses_need_not_call_the_constructor_of_their_base() -> None:
    fault = to_wire(Bare("chair"))
    assert (fault["kind"], fault["class"], fault["message"]) == ("denied", "Bare", "")
    assert to_wire(BareLogic())["class"] == "BareLogic"


def test_faults_that_hold_anything_can_be_sent() -> None:
    odd = polyport.Denied(5, errno="x", class_name=7, trace=b"", attributes={1: 2, "a": "\ud800"})  # type: ignore[arg-type, dict-item]
    for error in (odd, polyport.Busy("\ud800"), polyport.LogicError(1, "\ud800")):
        values.pack(to_wire(error))


def test_own_subclasses_are_told_by_name() -> None:
    fault = to_wire(OutOfStock("none left"))
    assert (fault["kind"], fault["class"]) == ("conflict", "OutOfStock")
    fault = to_wire(Refused(1234, "no"))
    assert (fault["kind"], fault["class"], fault["errno"]) == ("raised", "Refused", 1234)
    assert to_wire(polyport.Conflict("x"))["class"] == ""


@pytest.mark.parametrize("errno", [-1, 65536, "1", 1.0, True, None])
def test_the_number_of_an_error_is_one_that_mysql_can_send(errno: object) -> None:
    with pytest.raises(ValueError, match="the number of an error"):
        polyport.LogicError(errno, "text")  # type: ignore[arg-type]


def test_an_error_of_the_system_keeps_its_number_to_itself() -> None:
    fault = to_wire(FileNotFoundError(2, "No such file", "x"))
    assert "errno" not in fault
    assert fault["message"] == "[Errno 2] No such file: 'x'"


@pytest.mark.parametrize("fault", [None, [], {"kind": 5}, {}, {"kind": "future", "errno": "x"}])
def test_what_is_no_fault_is_one_all_the_same(fault: object) -> None:
    error = from_wire(fault)
    assert isinstance(error, (polyport.Internal, polyport.Raised))
    assert error.errno is None


def test_what_an_exception_cannot_tell_is_left_out() -> None:
    error = ValueError("x")
    error.big = "y" * 100_000  # type: ignore[attr-defined]
    error.itself = error  # type: ignore[attr-defined]
    error.good = (1, "two")  # type: ignore[attr-defined]
    assert to_wire(error)["attributes"] == {"good": (1, "two")}


def test_a_traceback_of_many_exceptions_is_bounded() -> None:
    with pytest.raises(ValueError) as raised:
        raise_deeply(400)
    trace = faults.trace(raised.value)
    assert len(trace) == 65536
    assert "ValueError: bottom" in trace
    assert trace.endswith("ValueError: 400\n")


def raise_deeply(depth: int) -> None:
    if depth == 0:
        raise ValueError("bottom")
    try:
        raise_deeply(depth - 1)
    except ValueError as error:
        if depth % 2:
            raise
        raise ValueError(depth) from error
