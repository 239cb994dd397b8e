"""Fetching published models, from a local server that speaks the hub's file API."""

import hashlib
import json
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from perturbloop.cli import app
from perturbloop.errors import InputError, ModelError
from perturbloop.models import published
from perturbloop.models.hub import fetch
from perturbloop.progress import heard_by

REVISION = "1" * 40
WEIGHTS = bytes(range(256)) * 400
FILES = {"toy/config.json": b'{"model_type": "bert"}', "toy/model.safetensors": WEIGHTS}
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
TOY = published.Published(
    "toy",
    "geneformer",
    "someone/things",
    REVISION,
    "toy",
    (("toy/config.json", ""), ("toy/model.safetensors", SHA256)),
    2048,
    25_426,
    1,
    "MIT",
)


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does: what a file is, and its bytes, from any place on."""

    served: dict
    asked: list
    cut: list

    def log_message(self, *unused):
        pass

    def say(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        wanted = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(self.path)
        entries = []
        for path, content in self.served.items():
            if path.replace("/", "%2F") in wanted or path in wanted:
                small = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                entry = {"type": "file", "path": path, "size": len(content), "oid": small}
                if path.endswith(".safetensors"):
                    oid = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
                entries.append(entry)
        body = json.dumps(entries).encode()
        self.say(200, {"Content-Type": "application/json", "Content-Length": len(body)}, body)

    def do_GET(self):
        self.asked.append((self.command, self.path, self.headers.get("Range")))
        path = self.path.partition(f"/resolve/{REVISION}/")[2]
        if path not in self.served:
            self.say(404, {"X-Error-Code": "EntryNotFound", "Content-Length": 0})
            return
        content = self.served[path]
        headers = {
            "X-Repo-Commit": REVISION,
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-").partition("-")[0])
        body, status = content[start:], 206 if start else 200
        headers["Content-Length"] = len(body)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.command == "GET" and path in self.cut:
            self.cut.remove(path)
            body = body[: len(body) // 2]
        self.say(status, headers, body)

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running hub, and a cache of its own."""
    from huggingface_hub import constants

    Hub.served, Hub.asked, Hub.cut = dict(FILES), [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    place = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", place)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{place}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(published, "PUBLISHED", (TOY,))
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_brought_once_and_found_by_its_name(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert published.place_of(TOY) is None
    with pytest.raises(
        InputError, match=r"`toy` is a published model that is not on this machine.*fetch toy"
    ):
        published.found_model(str(tmp_path / "toy"))
    with pytest.raises(InputError, match=r"takes one model; the repository 'things' holds 'toy'"):
        published.found_model("someone/things")
    folder = fetch(TOY)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert published.found_model("toy") == str(folder)
    hub.asked.clear()
    assert fetch(TOY) == folder
    assert not [one for one in hub.asked if one[0] == "GET"]


def test_a_model_goes_where_it_is_asked_to_and_goes_on_after_a_cut(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what was received is kept in such pieces
    hub.cut.append("toy/model.safetensors")
    told = []
    with heard_by(lambda work, done, total: told.append((work, done, total))):
        folder = fetch(TOY, tmp_path / "here")
    assert told[0] == ("fetch toy", 0, told[-1][1])
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(told) > 10
    assert folder == tmp_path / "here" / "toy"
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [one[2] for one in hub.asked if one[0] == "GET" and one[1].endswith("safetensors")]
    assert len(ranges) == 2
    assert ranges[1] == f"bytes={len(WEIGHTS) // 2}-"


def test_a_file_that_is_not_the_known_one_is_refused_and_deleted(hub, tmp_path):
    hub.served["toy/model.safetensors"] = WEIGHTS[::-1]
    with pytest.raises(ModelError, match=rf"must have the hash {SHA256}; what came has .* deleted. Run the"):
        fetch(TOY, tmp_path / "here")
    assert not (tmp_path / "here" / "toy" / "model.safetensors").exists()


def test_where_no_hash_is_known_the_hubs_own_is_checked(hub, tmp_path):
    own = replace(TOY, files=tuple((path, "") for path, _ in TOY.files))
    folder = fetch(own, tmp_path / "here")
    path = folder / "config.json"
    path.write_bytes(path.read_bytes()[:-1])
    from perturbloop.models import hub as client

    declared = next(one for one in client_info(own) if one.path == "toy/config.json")
    with pytest.raises(ModelError, match=r"`toy/config.json` .* must have the hash"):
        client._require_hash(path, "", declared, own)


def client_info(entry):
    from huggingface_hub import HfApi

    return HfApi().get_paths_info(
        entry.repository, [path for path, _ in entry.files], revision=entry.revision
    )


def test_a_file_that_the_hub_lacks_is_named(hub):
    del hub.served["toy/config.json"]
    with pytest.raises(ModelError, match=r"must hold all files of `toy`; it lacks 'toy/config.json'"):
        fetch(TOY)


def test_without_a_network_the_message_says_how_to_carry_it_over(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"must come from http://127.0.0.1:9/someone/things; .*`--to DIR`"):
        fetch(TOY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"`HF_HUB_OFFLINE` forbids it. Unset it"):
        fetch(TOY)


def test_the_list_is_one_screen_and_names_what_is_here(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    shown = CliRunner().invoke(app, ["models"], env={"COLUMNS": "80"}).stdout.splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    assert shown[2].split() == ["Geneformer-V1-10M", "2,048", "25,426", "10", "M", "Apache-2.0", "no"]
    tree = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)["models"]
    assert {len(one["revision"]) for one in tree} == {40}
    hashes = [sha256 for one in tree for sha256 in one["files"].values() if sha256]
    assert {len(sha256) for sha256 in hashes} == {64}
    refused = CliRunner().invoke(app, ["models", "fetch", "Geneformer-V2-10M", "--json"])
    assert "is not among the 6 there. The closest: 'Geneformer-V" in json.loads(refused.stdout)["error"]
    for typed in (["fetch"], ["list", "toy"], ["list", "--to", "x"]):
        assert "Say `models` or `models fetch NAME" in CliRunner().invoke(app, ["models", *typed]).stderr


def test_the_hub_is_the_one_that_the_environment_names(hub, tmp_path):
    from huggingface_hub import constants

    words = ["models", "fetch", "Geneformer-V1-10M", "--to", str(tmp_path / "x")]
    environment = {
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": ":".join(sys.path),
    }
    code = f"from perturbloop.cli import app; app({words!r})"
    failed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert failed.returncode == 1
    assert "it lacks 'Geneformer-V1-10M/config.json'" in failed.stderr
