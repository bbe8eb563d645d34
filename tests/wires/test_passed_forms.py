"""What a form names is seen, where all readers of forms see the same; a form that may be read in two ways is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadInput
from proxy.core.steps import Steps, at_once
from proxy.wires.passed_forms import is_form, read_form
from proxy.wires.wire import RequestFacts

TYPE = b"multipart/form-data; boundary=AbC"
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n\x00\xff\r\n--AB'
)


def field(name: bytes, value: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b'Content-Disposition: form-data; name="%b"' % name, *lines, b"", value))


def form(*parts: bytes) -> bytes:
    return b"".join(b"--AbC\r\n%b\r\n" % part for part in parts) + b"--AbC--\r\n"


def read(body: bytes, content_type: bytes = TYPE) -> RequestFacts | None:
    return at_once(read_form(body, content_type))


def model_of(body: bytes, content_type: bytes = TYPE) -> str | None:
    request = read(body, content_type)
    assert request is not None
    return request.model


def test_model_and_user_are_read_wherever_the_file_stands() -> None:
    model, user, stream = field(b"model", b"whisper-1"), field(b"user", b"Zo\xc3\xab"), field(b"stream", b"True")
    for parts in ((model, user, stream, FILE), (FILE, stream, user, model)):
        request = read(form(*parts))
        assert request is not None
        assert (request.model, request.claims.user, request.streamed) == ("whisper-1", "Zoë", True)


@pytest.mark.parametrize(
    "content_type",
    [
        b'multipart/form-data; boundary="AbC"',
        b"Multipart/Form-Data;boundary=AbC",
        b" multipart/form-data ; BOUNDARY=AbC ",
    ],
)
def test_the_type_is_read_as_it_may_be_written(content_type: bytes) -> None:
    assert is_form(content_type)
    assert model_of(form(field(b"model", b"whisper-1")), content_type) == "whisper-1"


def test_a_form_without_a_model_names_none() -> None:
    assert model_of(form(FILE, field(b"language", b"de"), field(b"timestamp_granularities[]", b"word"))) is None


def test_a_field_may_say_that_it_is_text() -> None:
    plain = field(b"model", b"whisper-1", b"content-type: text/plain; charset=utf-8", b"Content-Length: 9")
    assert model_of(form(plain)) == "whisper-1"


ONE = field(b"model", b"a")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--AbC", b"--AbC--\r\n", b"--AbC\r\n", form(ONE)[:-5], form(ONE) + b"x", b"preamble\r\n" + form(ONE),
        form(ONE, ONE), form(ONE, field(b"model", b"b")), form(field(b"Model", b"a")), form(field(b"model[]", b"a")),
        form(field(b" model", b"a")), form(field(b"m%6fdel", b"a")), form(field(b"mod\\el", b"a")), form(field(b"model", b"")),
        form(field(b"model", b"a b")), form(field(b"model", b"a\xff")), form(field(b"model", b"a" * 201)),
        form(field(b"user", b"\xff")), form(field(b"user", b"u" * 513)), form(field(b"tools", b"[]")), form(field(b"tools[0][type]", b"x")),
        form(field(b"model", b"YQ==", b"Content-Transfer-Encoding: base64")), form(field(b"model", b'"a"', b"Content-Type: application/json")),
        form(field(b"model", b"a", b"Content-Type: text/plain; charset=utf-16")),
        form(b'Content-Disposition: form-data; name="model"; filename="m"\r\n\r\na'),
        form(b'Content-Disposition: form-data; name="x"; name="model"\r\n\r\na'),
        form(b"Content-Disposition: form-data; name*=utf-8''model\r\n\r\na"), form(b"Content-Disposition: form-data; name=model\r\n\r\na"),
        form(b'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"\r\n\r\na'),
        form(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\na'), form(b"no head at all"),
        form(field(b"x", b"a\n--AbC\r\n" + ONE)), form(field(b"x", b"a\r\n--AbCD")), form(*[field(b"x", b"a")] * 257),
        form(field(b"x", b"a", b"X-Long: " + b"a" * 2048)),
    ],
)  # fmt: skip
def test_what_may_be_read_in_two_ways_is_not_known(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/mixed; boundary=AbC",
        b"multipart/form-data; boundary=AbC; boundary=x", b'multipart/form-data; boundary="A\\bC"', b"multipart/form-data; boundary=AbC; charset=x",
    ],
)  # fmt: skip
def test_so_is_a_type_that_does_not_say_how_the_form_is_divided(content_type: bytes) -> None:
    assert is_form(content_type)
    assert read(form(ONE), content_type) is None


@pytest.mark.parametrize("name", [b"switchback", b"switchback[user]", b"Switchback[tags][a]"])
def test_a_field_for_the_proxy_never_goes_on(name: bytes) -> None:
    with pytest.raises(BadInput, match="Switchback-User"):
        read(form(ONE, field(name, b"ann")))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_file_makes_a_model_of_itself(before: bytes, after: bytes) -> None:
    request = read(form(field(b"file", before), ONE, field(b"file", after)))
    assert request is None or request.model == "a"


@pytest.mark.parametrize("size", [1024 * 1024 - 100, 1024 * 1024 - 3, 3 * 1024 * 1024])
def test_a_long_file_is_searched_with_pauses_and_a_boundary_across_two_strides_is_found(size: int) -> None:
    pauses = 0

    def counted() -> Steps[RequestFacts | None]:
        nonlocal pauses
        steps = read_form(form(field(b"file", b"-" * size), ONE), TYPE)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            pauses += 1
            yield

    request = at_once(counted())
    assert request is not None
    assert request.model == "a"
    assert pauses >= size // (1024 * 1024)
