"""Origins and forward proxies as values."""

import pytest

from proxy.http1.egress import Egress, ForwardProxy, egress_from_environment
from proxy.http1.limits import ListenerLimits, UpstreamLimits, sweep_seconds
from proxy.http1.origin import Origin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://api.example", ("https", "api.example", 443, b"api.example")),
        ("https://API.Example/", ("https", "api.example", 443, b"api.example")),
        ("http://a:80", ("http", "a", 80, b"a")),
        ("http://a:8080", ("http", "a", 8080, b"a:8080")),
        ("https://[::1]:8443", ("https", "::1", 8443, b"[::1]:8443")),
        ("https://[2001:db8::1]", ("https", "2001:db8::1", 443, b"[2001:db8::1]")),
    ],
)
def test_an_origin_is_scheme_host_and_port(text, expected):
    assert tuple(Origin.parse(text)) == expected
    assert Origin.parse(text).is_tls == (expected[0] == "https")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example",
        "ftp://a",
        "file:///etc/passwd",
        "https://",
        "https://a/v1",
        "https://a?x",
        "https://a#x",
        "https://u:p@a",
        "https://a:0",
        "https://a:65536",
        "https://a:x",
        "https://a b",
        "https://a\r\nx: y",
        "https://ä",
        "https://::1",
        "https://[::1%eth0]",
        "HTTPS://a",
    ],
)
def test_anything_else_is_no_origin(text):
    with pytest.raises(ValueError, match="origin"):
        Origin.parse(text)


PROXY = ForwardProxy("proxy.example", 3128)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.example:3128", PROXY),
        ("proxy.example:3128", PROXY),
        ("http://proxy.example", ForwardProxy("proxy.example", 80)),
        ("http://u:p%40ss@proxy.example:3128/", ForwardProxy("proxy.example", 3128, b"Basic dTpwQHNz")),
    ],
)
def test_a_forward_proxy_is_read_from_a_url(url, expected):
    assert ForwardProxy.parse(url) == expected


@pytest.mark.parametrize(
    "url", ["https://proxy.example", "socks5://proxy.example", "http://", "http://a/b", "http://a?b"]
)
def test_other_kinds_of_forward_proxy_are_refused(url):
    with pytest.raises(ValueError, match="proxy"):
        ForwardProxy.parse(url)


def test_credentials_are_not_shown():
    assert "dTpw" not in repr(ForwardProxy.parse("http://u:p@a"))


@pytest.mark.parametrize(
    ("environ", "https", "http"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, PROXY, None),
        ({"https_proxy": "proxy.example:3128", "HTTPS_PROXY": "other"}, PROXY, None),
        ({"http_proxy": "proxy.example:3128"}, None, PROXY),
        ({"ALL_PROXY": "proxy.example:3128"}, PROXY, PROXY),
        ({"all_proxy": "other", "HTTPS_PROXY": "proxy.example:3128"}, PROXY, ForwardProxy("other", 80)),
        ({"HTTPS_PROXY": " "}, None, None),
    ],
)
def test_the_usual_variables_are_read(environ, https, http):
    egress = egress_from_environment(environ)
    assert (egress.https, egress.http) == (https, http)


def test_a_bad_variable_is_named_without_its_value():
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        egress_from_environment({"HTTPS_PROXY": "socks5://user:secret@a"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "origin", "direct"),
    [
        ("", "https://a.example", False),
        ("*", "https://a.example", True),
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.example", True),
        ("example", "https://a.example", True),
        (".example", "https://a.example", True),
        ("*.example", "https://a.example", True),
        ("b.example, a.example", "https://a.example", True),
        ("xample", "https://a.example", False),
        ("a.example:443", "https://a.example", True),
        ("a.example:444", "https://a.example", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://a.example", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("fd00::/8", "https://[fd00::1]", True),
        (",,", "https://a.example", False),
        ("", "https://localhost", True),
        ("", "https://127.0.0.1", True),
        ("", "https://[::1]", True),
    ],
)
def test_some_hosts_are_reached_without_a_proxy(no_proxy, origin, direct):
    egress = egress_from_environment({"ALL_PROXY": "http://proxy.example:3128", "NO_PROXY": no_proxy})
    assert egress.proxy_for(Origin.parse(origin)) == (None if direct else PROXY)


def test_only_plain_http_is_sent_in_absolute_form():
    egress = Egress(https=PROXY, http=PROXY)
    assert egress.plain_proxy_for(Origin.parse("https://a.example")) is None
    assert egress.plain_proxy_for(Origin.parse("http://a.example")) == PROXY


def test_the_sweep_is_fine_enough_for_the_shortest_deadline():
    assert sweep_seconds(ListenerLimits()) == 0.5  # a quarter of the lingering
    assert sweep_seconds(ListenerLimits(header_seconds=0.1)) == 0.025
    assert sweep_seconds(UpstreamLimits(idle_seconds=0.2)) == 0.05
