"""`deepdft serve`: where it listens, and what it prints."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from deepdft.errors import ConfigurationError
from deepdft.web.server import PORT, Address, is_loopback, listening_socket


def test_a_given_port_that_is_taken_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen at 127.0.0.1:{port}"):
            listening_socket("127.0.0.1", port)


def test_without_one_the_next_that_is_free_is_taken():
    first, second = (listening_socket("127.0.0.1", None) for _ in range(2))
    with first, second:
        ports = [one.getsockname()[1] for one in (first, second)]
    assert PORT <= ports[0] < ports[1]


@pytest.mark.parametrize("host", ["999.1.1.1", "nowhere.invalid"])
def test_an_address_that_is_none(host):
    with pytest.raises(ConfigurationError, match="cannot listen"):
        listening_socket(host, 0)


def test_addresses():
    assert Address("127.0.0.1", 8642, "secret").opened == "http://127.0.0.1:8642/?token=secret"
    assert Address("::1", 80, "x").origin == "http://[::1]:80/"
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_the_command_prints_an_address_that_works():
    command = [sys.executable, "-m", "deepdft", "serve", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http\S+", server.stdout.readline()).group()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address.partition("?")[0], timeout=60)
        assert refused.value.code == 401
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address, timeout=60) as page:
            assert page.url == address.partition("?")[0]
            assert "See the electrons" in page.read().decode()
    finally:
        server.terminate()
        server.wait(60)
        server.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM] * 3])
def test_it_ends_with_one_line_however_often_it_is_told_to(sent):
    command = [sys.executable, "-m", "deepdft", "serve", "--no-browser", "--port", "0"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert "http" in server.stdout.readline()
    for number in sent:
        server.send_signal(number)
    _, error = server.communicate(timeout=60)
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[sent[-1]]
    assert (server.returncode, error) == (128 + sent[-1], f"deepdft: {word}\n")
