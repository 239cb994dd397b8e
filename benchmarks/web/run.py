"""What the pages of a large campaign cost: first bytes, a cold start in a browser, memory, and fifty readers while a round plays.

    python benchmarks/web/inflate.py CAMPAIGN LARGE --genes 20000
    python benchmarks/web/run.py LARGE --readers 50 --seconds 60

`LARGE` lies beside `CAMPAIGN`, so that its files are found, and is played on: its training seed is changed, so that `perturbloop play` has work. Readers think for 0.5 to 1.5
seconds between two pages, as drawn by seed; the server, the round that plays, the readers and the browser share this machine.
"""

import asyncio
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from perturbloop.web.access import Access

PERTURBLOOP = [sys.executable, "-m", "perturbloop"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def served(campaign: Path) -> Iterator[tuple[int, str, int]]:
    """Port, token and process of a server."""
    server = subprocess.Popen([*PERTURBLOOP, "serve", str(campaign)], stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr or ():
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line):
                yield int(found[1]), found[2], server.pid
                return
        msg = "The server did not start."
        raise RuntimeError(msg)
    finally:
        server.terminate()
        server.wait()


async def fetched(reader: Any, writer: Any, path: str, token: str) -> tuple[int, float, float, bytes]:
    """Status, seconds to the first byte and to the last, and body, by one kept connection: a client that costs as little as it can."""
    began = time.perf_counter()
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{fetched.port}\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n\r\n"  # type: ignore[attr-defined]
    writer.write(head.encode())
    await writer.drain()
    headers = await reader.readuntil(b"\r\n\r\n")
    first = time.perf_counter() - began
    status = int(headers.split(b" ", 2)[1])
    length = re.search(rb"content-length: (\d+)", headers, re.IGNORECASE)
    if length:
        body = await reader.readexactly(int(length[1]))
    else:
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    return status, first, time.perf_counter() - began, body


async def read_pages(
    port: int, token: str, paths: list[str], seconds: float, seed: int
) -> list[tuple[str, int, float]]:
    """One reader: a page drawn by seed, a pause, the next."""
    draw, done = random.Random(seed), []
    ends = time.monotonic() + seconds
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(draw.random())
    while time.monotonic() < ends:
        path = draw.choice(paths)
        status, _, whole, _ = await fetched(reader, writer, path, token)
        done.append((path, status, whole))
        await asyncio.sleep(0.5 + draw.random())
    writer.close()
    return done


async def first_bytes(port: int, token: str, paths: list[str], times: int) -> dict[str, float]:
    """Median seconds to the first byte of each page, by one reader alone; the first time is left out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = {}
    for path in paths:
        taken = [await fetched(reader, writer, path, token) for _ in range(times + 1)]
        statuses = {status for status, *_ in taken}
        if statuses != {200}:
            msg = f"{path} answered {statuses}."
            raise RuntimeError(msg)
        found[path] = statistics.median(first for _, first, _, _ in taken[1:])
    writer.close()
    return found


def memory(pid: int) -> float:
    """Resident memory of a process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def cold(port: int, token: str, times: int) -> dict[str, list[float]]:
    """Seconds from the address to a page that answers a click, in a browser that never saw it."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)))
    access, here = Access.at("127.0.0.1", port, token=token), f"http://127.0.0.1:{port}"
    found: dict[str, list[float]] = {"/overview": [], "/ranking": []}
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for address, taken in found.items():
            for _ in range(times):
                context = browser.new_context()
                context.add_cookies(
                    [{"name": access.cookie, "value": access.session, "url": here, "sameSite": "Strict"}]
                )
                page = context.new_page()
                began = time.perf_counter()
                page.goto(f"{here}{address}", wait_until="load")
                page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
                taken.append(time.perf_counter() - began)
                context.close()
        browser.close()
    return found


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(
    campaign: Path,
    readers: Annotated[int, typer.Option()] = 50,
    seconds: Annotated[float, typer.Option()] = 60.0,
    seed: Annotated[int, typer.Option()] = 0,
    times: Annotated[int, typer.Option(help="Repeats of what one reader alone measures.")] = 5,
) -> None:
    """Measure the pages of a campaign."""
    ranking = json.loads(
        subprocess.check_output([*PERTURBLOOP, "report", str(campaign), "--table", "ranking", "--json"])
    )
    genes = [row["gene_name"] for row in ranking["ranking"][:200]]
    pages = [
        "/overview",
        "/ranking",
        "/ranking?q=A1&sort=-detection",
        "/ranking.csv?q=B2",
        f"/gene/{quote(genes[0])}",
        "/evidence",
        "/batch",
    ]
    with served(campaign) as (port, token, pid):
        fetched.port = port  # type: ignore[attr-defined]
        typer.echo(f"memory at the start: {memory(pid):.0f} MB")
        began = time.perf_counter()
        asyncio.run(first_bytes(port, token, ["/overview"], 1))
        typer.echo(f"first page of a server just started: {time.perf_counter() - began:.2f} s")
        for path, taken in asyncio.run(first_bytes(port, token, pages, times)).items():
            typer.echo(f"first byte of {path}: {1000 * taken:.0f} ms")
        for path, taken_all in cold(port, token, times).items():
            typer.echo(
                f"{path} cold in a browser: {statistics.median(taken_all):.2f} s ({min(taken_all):.2f} to {max(taken_all):.2f})"
            )
        typer.echo(f"memory after all pages: {memory(pid):.0f} MB")
        options = campaign / "campaign.toml"
        options.write_text(
            re.sub(
                r"(?m)^seed = (\d+)",
                lambda found: f"seed = {int(found[1]) + 1}",
                options.read_text(),
                count=1,
            )
        )
        playing = subprocess.Popen(
            [*PERTURBLOOP, "play", str(campaign)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        time.sleep(5)
        paths = [*pages, *(f"/gene/{quote(gene)}" for gene in genes), *["/doing"] * len(genes)]

        async def together() -> list[tuple[str, int, float]]:
            every = await asyncio.gather(
                *(read_pages(port, token, paths, seconds, seed + n) for n in range(readers))
            )
            return [one for done in every for one in done]

        done = asyncio.run(together())
        still = playing.poll() is None
        taken = [whole for _, _, whole in done]
        errors = [one for one in done if one[1] != 200]
        typer.echo(
            f"{readers} readers, {seconds:.0f} s, a round playing {'all the time' if still else 'at first'}: {len(done):,} answers, "
            f"{len(errors)} errors, median {1000 * statistics.median(taken):.0f} ms, p95 {1000 * percentile(taken, 0.95):.0f} ms, "
            f"longest {1000 * max(taken):.0f} ms"
        )
        typer.echo(f"memory at the end: {memory(pid):.0f} MB")
        playing.kill()
        playing.wait()


if __name__ == "__main__":
    typer.run(main)
