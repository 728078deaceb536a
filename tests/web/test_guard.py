"""Who may speak to the server."""

from __future__ import annotations

import pytest

from tests.web.conftest import LIMITS, TOKEN


def test_without_the_token_nothing_is_told(served):
    for path in ("/", "/main.js", "/api/about", "/api/openapi.json", "/viewer/3Dmol-min.js"):
        answer = served.get(path)
        assert answer.status_code == 401
        assert "deepdft serve" in answer.json()["error"]
    assert served.get("/?token=wrong").status_code == 401
    assert served.get("/?token=ü").status_code == 401
    assert served.post("/api/jobs", json={"example": "water"}).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie(served):
    answer = served.get(f"/?token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = served.get("/")
    assert page.status_code == 200
    assert "See the electrons" in page.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8642", "", "[::1"])
def test_other_names_are_refused(visitor, host):
    answer = visitor.get("/api/about", headers={"host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost:8642", "127.0.0.1", "[::1]:8642", "LOCALHOST"])
def test_names_of_this_machine_are_not(visitor, host):
    assert visitor.get("/api/about", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_pages_may_not_write(visitor, headers):
    answer = visitor.post("/api/jobs", json={"example": "water"}, headers=headers)
    assert answer.status_code == 403


def test_the_own_page_may_write(visitor):
    headers = {"origin": "http://127.0.0.1:8642", "sec-fetch-site": "same-origin"}
    assert visitor.post("/api/jobs", json={}, headers=headers).status_code == 422


@pytest.mark.parametrize("path", ["/", "/api/about", "/nothing", "/api/jobs/unknown-job"])
def test_every_answer_has_the_headers(visitor, path):
    headers = visitor.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "cache-control" in headers


def test_too_much_is_not_read(visitor):
    large = b"x" * (LIMITS.upload_bytes + 1)
    answer = visitor.post("/api/files", params={"name": "a.xyz"}, content=large)
    assert answer.status_code == 413
    assert "limit" in answer.json()["error"]
    # The same without a length that is announced.
    pieces = (b"x" * 50_000 for _ in range(20))
    answer = visitor.post("/api/files", params={"name": "a.xyz"}, content=pieces)
    assert answer.status_code == 413
    answer = visitor.post("/api/jobs", json={"smiles": "C" * 300_000})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/../limits.py", "/%2e%2e/limits.py", "/editor/../../limits.py", "//etc/passwd"]
)
def test_no_path_leads_out(visitor, path):
    answer = visitor.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"] == "Not Found."
