"""What people write before their functions and classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from polyport import application
from polyport.application import OPTIONS, SKIPPED, Mode, Options
from polyport.results import Column, ColumnLike, to_columns

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


@overload
def function(function: F, /) -> F: ...


@overload
def function(
    *,
    name: str | None = None,
    help: str | None = None,
    threads: int | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
    columns: Iterable[ColumnLike] | None = None,
) -> Callable[[F], F]: ...


def function(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    help: str | None = None,
    threads: int | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
    columns: Iterable[ColumnLike] | None = None,
) -> F | Callable[[F], F]:
    """Serves a function, which stays an ordinary function.

    ``name`` is its name for clients, with dots for namespaces; ``help`` takes the place of its
    docstring. ``threads`` is how many calls of a plain function one worker runs at once, on
    threads; without it each runs alone in a process. ``concurrency`` is the same for a coroutine
    function, 100 unless told. ``workers`` is how many processes run it. ``columns`` are the columns
    of a generator's rows.

    On a method of an object the options hold for that method.
    """
    options = Options(name, help, threads, concurrency, workers, _columns(columns))

    def serve(function: F) -> F:
        if _is_method(function):
            setattr(function, OPTIONS, options)
        else:
            application.APPLICATION.add_function(function, options)
        return function

    return serve if function is None else serve(function)


@overload
def object(cls: C, /) -> C: ...


@overload
def object(
    *,
    mode: Mode = "shared",
    name: str | None = None,
    flat: bool = False,
    threads: int | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
) -> Callable[[C], C]: ...


def object(
    cls: C | None = None,
    /,
    *,
    mode: Mode = "shared",
    name: str | None = None,
    flat: bool = False,
    threads: int | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
) -> C | Callable[[C], C]:
    """Serves the public methods and properties of a class as ``name.method``.

    ``mode`` says whose object a caller meets: ``shared`` is one for all, ``connection`` one for
    each connection of a client, ``call`` a new one for each call. ``name`` is the class's own in
    small letters unless told; ``flat=True`` leaves it out. ``threads`` is how many plain methods
    run at once, 1 unless told; ``concurrency`` the same for coroutine methods, 100 unless told.
    """
    options = Options(name, None, threads, concurrency, workers)

    def serve(cls: C) -> C:
        application.APPLICATION.add_object(cls, options, mode, flat)
        return cls

    return serve if cls is None else serve(cls)


def register(
    thing: Any,
    name: str | None = None,
    *,
    flat: bool = False,
    mode: Mode = "shared",
    help: str | None = None,
    threads: int | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
    columns: Iterable[ColumnLike] | None = None,
) -> None:
    """Serves a function, a class, or an object that exists, without a decorator.

    The options are those of :func:`function` and :func:`object`.
    """
    options = Options(name, help, threads, concurrency, workers, _columns(columns))
    if application.is_function(thing):
        if flat or mode != "shared":
            raise TypeError(f"flat= and mode= are for objects, and {thing!r} is a function")
        application.APPLICATION.add_function(thing, options)
    else:
        if help is not None or columns is not None:
            raise TypeError(f"help= and columns= are for functions, and {thing!r} is an object")
        application.APPLICATION.add_object(thing, options, mode, flat)


def skip(function: F) -> F:
    """Leaves a public function or method out."""
    setattr(function, SKIPPED, True)
    return function


def _columns(columns: Iterable[ColumnLike] | None) -> list[Column] | None:
    return None if columns is None else to_columns(columns)


def _is_method(function: Any) -> bool:
    """Whether a function is being defined in the body of a class."""
    outer = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>") and not inspect.ismethod(function)
