"""The examples in the documentation of the client, run as they stand."""

from __future__ import annotations

import asyncio
import doctest
import types

import pytest
from serving import Server

import polyport.client
from polyport.client import AsyncClient, Client, asynchronous, base, sync


@pytest.mark.parametrize("module", [polyport.client, sync, asynchronous, base])
def test_examples_do_what_they_say(server: Server, module: types.ModuleType) -> None:
    with Client(server.url()) as client:
        known = {"URL": server.url(), "client": client, "asyncio": asyncio}
        known.update(AsyncClient=AsyncClient, Client=Client)
        result = doctest.testmod(module, extraglobs=known, optionflags=doctest.REPORT_NDIFF)
    assert result.attempted > 0
    assert result.failed == 0
