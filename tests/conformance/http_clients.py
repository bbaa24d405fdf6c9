#!/usr/bin/env python3
"""curl and Python's HTTP clients against the conformance server: http_clients.py HOST PORT

Prometheus' own parser reads the metrics, and a validator of OpenAPI the description.
"""
import asyncio
import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import aiohttp
import httpx
import requests
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

HOST, PORT = sys.argv[1], sys.argv[2]
BASE = f"http://{HOST}:{PORT}"
ADMIN = ("admin", "admin")
TESTUSER = ("testuser", "testpass")
ROOT = ("root", "rootpass")
passed = failed = 0


def check(name):
    def decorate(body):
        global passed, failed
        try:
            result = body()
            if asyncio.iscoroutine(result):
                asyncio.run(asyncio.wait_for(result, 20))
        except Exception as error:  # noqa: BLE001
            failed += 1
            print("FAIL", name, f"{type(error).__name__}: {error}".replace("\n", " ")[:300])
        else:
            passed += 1
            print("ok", name)

    return decorate


def same(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def curl(*words, data=None):
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", *words], input=data, capture_output=True, text=True, check=True
    )
    return done.stdout


@check("curl.call")
def _():
    same(
        json.loads(curl("-u", "testuser:testpass", "-d", "[3, 4]", f"{BASE}/v1/call/myadd")),
        {"result": [{"sum": 7}]},
    )


@check("curl.large_body_after_100_continue")
def _():
    body = json.dumps(["x" * 3_000_000])
    answer = curl("-u", "admin:admin", "-H", "Expect: 100-continue", "--data-binary", "@-",
                  f"{BASE}/v1/call/echo", data=body)
    same(len(json.loads(answer)["result"]), 3_000_000)


@check("curl.chunked_body")
def _():
    answer = curl("-u", "admin:admin", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-",
                  f"{BASE}/v1/call/echo", data='["é 中"]')
    same(json.loads(answer), {"result": "é 中"})


@check("curl.head_and_http_1_0")
def _():
    assert curl("-I", f"{BASE}/").startswith("HTTP/1.1 200 ")
    same(curl("-0", f"{BASE}/livez"), "ok\n")


@check("curl.upgrade_to_http_2_is_passed_over")
def _():
    same(curl("--http2", f"{BASE}/livez"), "ok\n")


@check("urllib.fault")
def _():
    token = base64.b64encode(b"testuser:testpass").decode()
    request = urllib.request.Request(
        f"{BASE}/v1/call/logic", b"", {"Authorization": f"Basic {token}"}
    )
    try:
        urllib.request.urlopen(request, timeout=5)
    except urllib.error.HTTPError as error:
        same(error.code, 500)
        fault = json.load(error)["error"]
        same((fault["kind"], fault["errno"], fault["message"]), ("raised", 1234, "no such thing"))
    else:
        raise AssertionError("no error")


@check("requests.kept_alive")
def _():
    with requests.Session() as session:
        session.auth = ADMIN
        for number in range(200):
            answer = session.post(f"{BASE}/v1/call/echo", json=[number], timeout=5)
            same(answer.json(), {"result": number})


@check("requests.arguments")
def _():
    def call(body):
        return requests.post(f"{BASE}/v1/call/myadd", json=body, auth=TESTUSER, timeout=5).json()

    for body in ([3, 4], {"a": 3, "b": 4}, {"args": [3], "kwargs": {"b": 4}}, ["3", 4.0]):
        same(call(body), {"result": [{"sum": 7}]})
    same(call([3])["error"]["kind"], "arguments")
    same(call(["three", 4])["error"]["kind"], "type")
    big = 2**100
    same(requests.post(f"{BASE}/v1/call/echo", json=[big], auth=ADMIN, timeout=5).json(),
         {"result": big})


@check("requests.refused")
def _():
    began = time.monotonic()
    answer = requests.post(f"{BASE}/v1/call/myadd", json=[1, 2], auth=("admin", "no"), timeout=5)
    same(answer.status_code, 401)
    assert time.monotonic() - began >= 0.2
    same(requests.get(f"{BASE}/v1/call/myadd", auth=TESTUSER, timeout=5).status_code, 405)
    same(requests.post(f"{BASE}/v1/call/nothing", auth=ROOT, timeout=5).status_code, 404)
    cross = {"Origin": "http://evil.example"}
    same(requests.get(f"{BASE}/", headers=cross, timeout=5).status_code, 403)
    foreign = {"Host": "evil.example"}
    same(requests.get(f"{BASE}/", headers=foreign, timeout=5).status_code, 421)


@check("requests.stream")
def _():
    began = time.monotonic()
    with requests.post(f"{BASE}/v1/call/testcorogen", json=[1, 2], auth=ADMIN, stream=True,
                       headers={"Accept": "application/x-ndjson"}, timeout=5) as answer:
        times, items = [], []
        for line in answer.iter_lines(chunk_size=1):
            times.append(time.monotonic() - began)
            items.append(json.loads(line))
    same(items, [i + 3 for i in range(10)])
    assert times[0] < 0.5 < times[-1], f"items came at {times}"


@check("httpx.pool")
async def _():
    async with httpx.AsyncClient(auth=ADMIN, timeout=10) as client:
        answers = await asyncio.gather(
            *(client.post(f"{BASE}/v1/call/echo", json=[i]) for i in range(100))
        )
    same([answer.json()["result"] for answer in answers], list(range(100)))


@check("aiohttp.stream_is_left")
async def _():
    headers = {"Authorization": aiohttp.encode_basic_auth(*ADMIN)}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{BASE}/v1/call/testcorogen", json=[1, 2],
                                headers={"Accept": "text/event-stream"}) as answer:
            same(answer.content_type, "text/event-stream")
            same(await answer.content.readline(), b"data: 3\n")
            answer.close()
        async with session.post(f"{BASE}/v1/call/echo", json=[7]) as answer:
            same(await answer.json(), {"result": 7})


@check("prometheus.metrics")
def _():
    def sample(name, **labels):
        page = requests.get(f"{BASE}/metrics", auth=ROOT, timeout=5)
        families = text_string_to_metric_families(page.text)
        found = [s.value for family in families for s in family.samples
                 if s.name == name and labels.items() <= s.labels.items()]
        same(len(found), 1)
        return found[0]

    assert sample("polyport_calls_total", protocol="http", outcome="good") > 300
    assert sample("polyport_calls_total", protocol="http", outcome="bad") >= 3
    count = sample("polyport_call_duration_seconds_count", protocol="http")
    same(sample("polyport_call_duration_seconds_bucket", protocol="http", le="+Inf") <= count, True)
    for _ in range(20):
        if sample("polyport_calls_in_flight", protocol="http") == 0:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the stream that was left still runs")
    same(requests.get(f"{BASE}/metrics", timeout=5).status_code, 401)


@check("openapi.valid")
def _():
    document = requests.get(f"{BASE}/v1/openapi.json", auth=ADMIN, timeout=5).json()
    validate(document)
    assert "/v1/call/testfunc" in document["paths"]


@check("pymysqlrpc.status_page")
def _():
    page = requests.get(f"{BASE}/pymysqlrpc/info/root/viewpass", timeout=5)
    assert page.text.startswith("<pre>"), page.text[:100]
    assert "server listen  : " in page.text
    wrong = requests.get(f"{BASE}/pymysqlrpc/info/root/wrong", timeout=5)
    same((wrong.status_code, wrong.text), (200, "this is one pymysqlrpc"))


print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
