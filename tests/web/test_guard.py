"""Who gets in: nobody without the token, no page from elsewhere, no request without bound."""

import re

import pytest
from starlette.testclient import TestClient

from perturbloop.web.access import Access
from perturbloop.web.guard import Guard

PAGES = [
    "/",
    "/overview",
    "/evidence",
    "/overview.json",
    "/evidence.csv",
    "/doing",
    "/static/web.css",
    "/figure/ranking/0.svg",
]


@pytest.mark.parametrize("path", PAGES)
def test_without_the_token_nothing_is_shown(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "Open the address that `perturbloop serve` printed" in answer.text


@pytest.mark.parametrize("token", ["", "not-a-real-secret ", "wrong", "ü", "x" * 10_000])
def test_a_wrong_token_is_refused_and_sets_no_cookie(stranger, token):
    answer = stranger.get("/", params={"token": token})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_printed_address_gives_a_strict_cookie_that_scripts_cannot_read(stranger, access):
    answer = stranger.get(f"/?token={access.token}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert access.token not in answer.headers["set-cookie"]
    assert access.token not in answer.text
    assert stranger.get("/overview").status_code == 200


def test_a_cookie_of_another_server_does_not_open_this_one(stranger):
    other = Access.at("127.0.0.1", 8123, token="another")
    stranger.cookies.set(other.cookie, other.session)
    assert stranger.get("/overview").status_code == 403


@pytest.mark.parametrize(
    "cookie", ["perturbloop_8123=\xfc", "=", ";;;", "perturbloop_8123", "\xff" * 100, 'perturbloop_8123="']
)
def test_a_damaged_cookie_opens_nothing(stranger, cookie):
    assert stranger.get("/overview", headers={"Cookie": cookie.encode("latin-1")}).status_code == 403


def test_the_token_as_a_bearer_serves_machines(stranger, access):
    answer = stranger.get("/overview.json", headers={"Authorization": f"Bearer {access.token}"})
    assert answer.json()["word"] in ("yes", "no", "cannot tell")


@pytest.mark.parametrize(
    "host", ["evil.example:8123", "127.0.0.1.evil.example:8123", "127.0.0.1:80", "127.0.0.1", "", "[::1]:9"]
)
def test_another_host_name_is_refused_even_with_the_cookie(reader, host):
    assert reader.get("/overview", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8123", "LOCALHOST:8123", "[::1]:8123", "127.0.0.1:8123"])
def test_the_names_of_this_machine_are_answered(reader, access, host):
    bearer = {"Host": host, "Authorization": f"Bearer {access.token}"}
    assert reader.get("/overview", headers=bearer).status_code == 200


def test_a_server_for_others_answers_to_the_names_it_was_given():
    access = Access.at("0.0.0.0", 8123, token="t", names=("Lab.example", "fd00::1"))
    own = {"localhost:8123", "127.0.0.1:8123", "[::1]:8123"}
    assert access.hosts == own | {"lab.example:8123", "[fd00::1]:8123"}


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("lab.example", "http://lab.example", 200),
        ("lab.example:80", "http://lab.example", 200),
        ("lab.example", "http://lab.example:80", 200),
        ("lab.example", "http://lab.example:8080", 403),
        ("lab.example:8080", "http://lab.example:8080", 421),
    ],
)
def test_at_port_80_a_browser_leaves_the_port_out(host, origin, status):
    access = Access.at("0.0.0.0", 80, token="t", names=("lab.example",))
    headers = {"Host": host, "Origin": origin, "X-CSRF-Token": access.csrf}
    headers["Cookie"] = f"{access.cookie}={access.session}"
    client = TestClient(Guard(_swallow, access), base_url="http://127.0.0.1")
    assert client.post("/", headers=headers).status_code == status


def test_an_odd_cookie_of_another_server_leaves_ours_readable():
    access = Access.at("127.0.0.1", 8123, token="t")
    client = TestClient(Guard(_swallow, access), base_url="http://127.0.0.1:8123")
    jar = f'a[b]="x; {{"c": 1}}=2; =; {access.cookie}={access.session}; d=\xe9'
    assert client.get("/", headers={"Cookie": jar.encode("latin-1")}).status_code == 200


WRITES = ["/do/record", "/do/propose", "/overview", "/nowhere"]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "null", "https://127.0.0.1:8123", "http://127.0.0.1:81"]
)
def test_a_page_from_elsewhere_cannot_write(writer, path, origin):
    headers = {"Origin": origin} if origin else {}
    if not origin:
        del writer.headers["Origin"]
    answer = writer.post(path, headers=headers)
    assert answer.status_code == 403
    assert "came from elsewhere" in answer.text


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "\xfc".encode("latin-1")])
def test_a_write_without_what_only_our_pages_know_is_refused(writer, path, csrf):
    if csrf is None:
        del writer.headers["X-CSRF-Token"]
    answer = writer.post(path, headers={} if csrf is None else {"X-CSRF-Token": csrf})
    assert answer.status_code == 403
    assert "Reload the page" in answer.text


def test_a_server_that_only_shows_writes_nothing(kept_campaign):
    from perturbloop.web.app import application

    access = Access.at("127.0.0.1", 8123, token="t", read_only=True)
    headers = {"Authorization": "Bearer t", "Origin": "http://127.0.0.1:8123", "X-CSRF-Token": access.csrf}
    client = TestClient(application(kept_campaign, access), base_url="http://127.0.0.1:8123", headers=headers)
    for path in WRITES:
        answer = client.post(path)
        assert answer.status_code == 403
        assert "--read-only" in answer.text
    assert client.get("/overview").status_code == 200


async def _swallow(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"all of it"})


def bounded(most):
    access = Access(token="t", hosts=frozenset({"127.0.0.1:8123"}), most_bytes=most)
    headers = {"Authorization": "Bearer t"}
    return TestClient(Guard(_swallow, access), base_url="http://127.0.0.1:8123", headers=headers)


def test_a_body_that_says_it_is_too_large_is_not_read():
    answer = bounded(1 << 20).post("/", content=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert "At most 1 MB" in answer.text


def test_a_length_of_thousands_of_digits_is_refused():
    answer = bounded(1 << 20).post("/", content=b"x", headers={"Content-Length": "9" * 5000})
    assert answer.status_code == 413


def test_a_body_that_does_not_say_how_large_it_is_is_counted():
    answer = bounded(1 << 20).post("/", content=(b"x" * 1024 for _ in range(1025)))
    assert answer.status_code == 413


def test_a_body_of_the_size_that_is_allowed_comes_through():
    assert bounded(1 << 20).post("/", content=b"x" * (1 << 20)).text == "all of it"


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_every_answer_says_what_a_browser_may_do_with_it(reader, path):
    headers = reader.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../loop/folder.py",
        "/static/%2e%2e/%2e%2e/loop/folder.py",
        "/static/..%2f..%2floop%2ffolder.py",
        "/static//etc/passwd",
        "/static/%5c..%5c..%5capp.py",
        "/figure/..%2f..%2fcampaign/0.svg",
        "/figure/ranking/-1.svg",
        "/../campaign.sqlite",
        "/campaign.sqlite",
        "/rounds/000/ranking.parquet",
    ],
)
def test_no_path_of_the_client_opens_a_file(reader, path):
    answer = reader.get(path)
    assert answer.status_code in (404, 405)
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_no_page_holds_a_script_or_a_style_of_its_own(reader):
    for path in ("/overview", "/evidence"):
        text = reader.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert "<style" not in text
        assert not re.search(r"<[^>]*\s(style|on\w+)=", text)
        assert "javascript:" not in text
        assert not re.search(r"(src|href)=\"https?://(?!www\.)", text)


def test_a_refused_part_of_a_page_is_told_above_it_and_what_was_typed_stays(reader):
    answer = reader.post("/do/ask", headers={"HX-Request": "true"}, data={"budget": "3"})
    assert answer.status_code == 403
    assert answer.headers["hx-retarget"] == answer.headers["hx-reselect"] == "#refused"
    assert answer.text.startswith('<p id="refused" class="alarm" role="alert">Only a page of this server')
    assert 'id="refused"' in reader.get("/overview").text
