"""The admin API as the command sees it: JSON over HTTP, problem+json turned into CommandFailed.

Decision: the standard library's client, because a verb makes one or two calls and must start fast. It never follows a
redirect and never asks the environment for a forward proxy, so that the token reaches the named server only; and nothing but a
plain question is sent to a server that has not said that it is an admin API. Counterpart: the admin application in edges.
"""

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from proxy.cli.admin_answers import Document, code_of, document_of, refused, warnings_of
from proxy.cli.failures import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, CommandFailed
from proxy.cli.lost_answers import QUESTION_SECONDS, AnswerLost, what_became

DEFAULT_URL = "http://127.0.0.1:8101"
API_PREFIX = "/api/v1"
#: What the admin API says of itself at its prefix, without a token.
MARKER = "switchback-admin"
#: The name of a change, by which it can be asked about.
CHANGE_ID_HEADER = "Switchback-Change-Id"
_MARKER_BYTES = 64 * 1024
TIMEOUT_SECONDS = 30.0
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_PAGE = 500
_PIECE_BYTES = 64 * 1024
#: A quarantine of a million runs and a proof of a million versions take minutes; they go on however long nobody listens.
LONG_TIMEOUT_SECONDS = 3600.0
_STARTING = "start it with `switchback serve`, or name another one with --admin-url or SWITCHBACK_ADMIN_URL"


@dataclass(frozen=True, slots=True)
class Download:
    """An answer as it arrives; `count` is how many items it has, `audit_head` the head in it, where the server said so."""

    pieces: Iterator[bytes]
    count: int | None
    audit_head: str | None = None


class AdminClient:
    """Calls to one admin API. `base_url` is its origin, with or without `/api/v1`.

    `warnings` collects what answers say beside the result, in words: workers that lag, a change that is journalled.
    """

    def __init__(
        self, base_url: str, token: str, *, timeout_seconds: float = TIMEOUT_SECONDS, authorities: str | None = None
    ) -> None:
        """`authorities` is a PEM file of roots to trust instead of the system's. Raises CommandFailed for an address that is
        none."""
        self._parts = _parse(base_url)
        self.origin = f"{self._parts.scheme}://{self._parts.netloc}"
        self._prefix = self._parts.path.rstrip("/").removesuffix(API_PREFIX) + API_PREFIX
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._timeout_seconds = timeout_seconds
        self._authorities = authorities
        self._is_recognised = False
        self.warnings: list[str] = []

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, *, timeout_seconds: float | None = None
    ) -> Document:
        """The document at `path`; members of `query` that are None are left out. Raises CommandFailed."""
        return self.request("GET", path, query=query, timeout_seconds=timeout_seconds)[1]

    def post(self, path: str, body: Mapping[str, Any], *, timeout_seconds: float | None = None) -> Document:
        """Raises CommandFailed."""
        return self.request("POST", path, body, timeout_seconds=timeout_seconds)[1]

    def put(self, path: str, body: Mapping[str, Any]) -> Document:
        """Raises CommandFailed."""
        return self.request("PUT", path, body)[1]

    def patch(self, path: str, body: Mapping[str, Any]) -> Document:
        """Raises CommandFailed."""
        return self.request("PATCH", path, body)[1]

    def delete(self, path: str, why: str) -> Document:
        """The reason travels in the query, because many intermediaries drop the body of a DELETE. Raises CommandFailed."""
        return self.request("DELETE", path, query={"why": why})[1]

    def items(self, path: str, limit: int, query: Mapping[str, Any] | None = None) -> Document:
        """Up to `limit` items over as many pages as that takes: `{"items": […], "next": cursor or null}`."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            asked = {**(query or {}), "limit": min(limit - len(found), _PAGE), "cursor": cursor}
            page = self.get(path, asked)
            fresh = cast("list[Any]", page.get("items") or [])
            found += fresh
            before, cursor = cursor, page.get("next")
            # A page may be empty and the list go on; one that leads to itself would go on for ever.
            if cursor is None or cursor == before or len(found) >= limit:
                return {"items": found[:limit], "next": cursor}

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        timeout_seconds: float | None = None,
    ) -> tuple[int, Document]:
        """One call: the status (2xx) and the document. Raises CommandFailed for everything else.

        A change is sent with an id. Where its answer is lost the server is asked by that whether it took place.
        """
        data = None if body is None else json.dumps(body).encode()
        patience = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        change_id = None if method == "GET" else f"chg_{secrets.token_hex(16)}"
        try:
            status, content = self._exchange(method, self._target(path, _asked(query)), data, patience, change_id)
            document = document_of(content)
            if 200 <= status < 300 and (document is not None or not content):
                self.warnings += warnings_of(document or {})
                return status, document or {}
            raise refused(self.origin, status, document)
        except AnswerLost as lost:
            if change_id is None:
                raise
            raise what_became(lost, path, partial(self._asked_again, change_id)) from None

    def _asked_again(self, change_id: str) -> Document:
        """What became of a change, of a server that may be another process by now. Raises CommandFailed."""
        self._is_recognised = False
        usual, self._timeout_seconds = self._timeout_seconds, min(self._timeout_seconds, QUESTION_SECONDS)
        try:
            return self.get(f"/changes/{segment(change_id)}")
        finally:
            self._timeout_seconds = usual

    @contextmanager
    def download(
        self, path: str, query: Mapping[str, Any] | None = None, *, timeout_seconds: float | None = None
    ) -> Generator["Download"]:
        """An answer of any length, piece by piece. Raises CommandFailed, also where it ends before it is whole."""
        self._recognise()
        patience = timeout_seconds or self._timeout_seconds
        with closing(self._connection(patience)) as connection:
            with self._explained(patience):
                connection.request("GET", self._target(path, _asked(query)), None, self._headers)
                answer = connection.getresponse()
            with answer:
                if answer.status != 200:
                    with self._explained(patience):
                        refusal = document_of(answer.read(_MAX_ANSWER_BYTES))
                    raise refused(self.origin, answer.status, refusal)
                count, head = answer.headers.get("Switchback-Count", ""), answer.headers.get("Switchback-Audit-Head")
                yield Download(_pieces(answer), int(count) if count.isdecimal() else None, head)

    def _exchange(
        self, method: str, target: str, body: bytes | None, timeout_seconds: float, change_id: str | None
    ) -> tuple[int, bytes]:
        self._recognise()
        headers = dict(self._headers) if body is None else {**self._headers, "Content-Type": "application/json"}
        if change_id is not None:
            headers[CHANGE_ID_HEADER] = change_id
        with closing(self._connection(timeout_seconds)) as connection:
            with self._explained(timeout_seconds):
                connection.connect()
            # From here on the server may have it.
            with self._explained(timeout_seconds, AnswerLost), self._interrupt_told(change_id):
                connection.request(method, target, body, headers)
                with connection.getresponse() as answer:
                    content = answer.read(_MAX_ANSWER_BYTES + 1)
                    # Reading up to a limit is content with less than was announced.
                    if answer.length and len(content) <= _MAX_ANSWER_BYTES:
                        raise http.client.IncompleteRead(content, answer.length)
        if len(content) > _MAX_ANSWER_BYTES:
            raise CommandFailed(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes; ask for less")
        return answer.status, content

    @contextmanager
    def _interrupt_told(self, change_id: str | None) -> Generator[None]:
        """Ctrl-C at a change that is on its way leaves open whether it is made."""
        try:
            yield
        except KeyboardInterrupt:
            if change_id is not None:
                self.warnings.append("interrupted: whether the change was made is not known, look before repeating")
            raise

    def _recognise(self) -> None:
        """Ask once what the server is. A mistyped port may be anybody's: it learns no token and no prompt."""
        if self._is_recognised:
            return
        with (
            closing(self._connection(self._timeout_seconds)) as connection,
            self._explained(self._timeout_seconds),
        ):
            connection.request("GET", self._prefix, None, {"Accept": "application/json"})
            with connection.getresponse() as answer:
                document = document_of(answer.read(_MARKER_BYTES))
        if document is None or document.get("api") != MARKER:
            code = code_of(document)
            detail = "that is its port for LLM calls" if code == "admin_api_elsewhere" else "no token was sent"
            raise CommandFailed(
                f"{self.origin} does not answer like the admin API (status {answer.status}): {detail}; check --admin-url",
                code=code,
                status=answer.status,
            )
        self._is_recognised = True

    def _target(self, path: str, asked: Mapping[str, Any]) -> str:
        return self._prefix + path + (f"?{urlencode(asked)}" if asked else "")

    def _connection(self, timeout_seconds: float) -> http.client.HTTPConnection:
        is_tls = self._parts.scheme == "https"
        host, port = self._parts.hostname or "", self._parts.port
        if not is_tls:
            return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        try:
            context = ssl.create_default_context(cafile=self._authorities)
        except OSError as error:
            raise CommandFailed(f"SWITCHBACK_ADMIN_CA: {self._authorities} cannot be used: {_reason(error)}") from None
        return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)

    @contextmanager
    def _explained(self, timeout_seconds: float, failure: type[CommandFailed] = CommandFailed) -> Generator[None]:
        """What goes wrong on the way, as `failure`."""
        try:
            yield
        except (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionResetError, BrokenPipeError):
            # What a listener with TLS does to plain HTTP.
            is_guess = self._parts.scheme == "http" and not self._is_recognised
            hint = "; if it speaks https, say https:// in --admin-url or SWITCHBACK_ADMIN_URL" if is_guess else ""
            raise failure(f"{self.origin} broke the connection off{hint}", EXIT_UNREACHABLE) from None
        except TimeoutError:
            raise failure(f"{self.origin} did not answer within {timeout_seconds:g} s", EXIT_UNREACHABLE) from None
        except http.client.HTTPException as error:
            raise failure(f"{self.origin} does not answer in HTTP ({type(error).__name__})", EXIT_FAILED) from None
        except ssl.SSLCertVerificationError as error:
            raise failure(
                f"{self.origin} shows a certificate that is not trusted ({error.verify_message}); name its authority's file "
                "with SWITCHBACK_ADMIN_CA",
                EXIT_UNREACHABLE,
            ) from None
        except ssl.SSLError as error:
            raise failure(
                f"{self.origin} does not answer in TLS ({_reason(error)}); if it speaks plain http, say http://",
                EXIT_UNREACHABLE,
            ) from None
        except (OSError, UnicodeError) as error:
            raise failure(f"cannot reach {self.origin} ({_reason(error)}): {_STARTING}", EXIT_UNREACHABLE) from None


def connect(
    admin_url: str | None,
    token_file: Path | None,
    environment: Mapping[str, str],
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AdminClient:
    """A client from options and environment.

    The token comes from `token_file`, else SWITCHBACK_TOKEN, else `$SWITCHBACK_HOME/admin-token`; never from the command
    line, where every user of the machine could read it. Raises CommandFailed.
    """
    url = admin_url or environment.get("SWITCHBACK_ADMIN_URL") or DEFAULT_URL
    authorities = environment.get("SWITCHBACK_ADMIN_CA") or None
    return AdminClient(url, _token(token_file, environment), timeout_seconds=timeout_seconds, authorities=authorities)


def segment(name: object) -> str:
    """`name` as one segment of a path, whatever it contains."""
    quoted = quote(str(name), safe="")
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted


def _parse(url: str) -> SplitResult:
    wrong = CommandFailed(f"{url!r} is not an admin address such as {DEFAULT_URL}", EXIT_USAGE)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        is_origin = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_origin = is_origin and url.isprintable() and " " not in url
    except ValueError:
        raise wrong from None
    if not is_origin or parts.query or parts.fragment or parts.username is not None:
        raise wrong
    return parts


def _token(token_file: Path | None, environment: Mapping[str, str]) -> str:
    token, source = environment.get("SWITCHBACK_TOKEN", "").strip(), "SWITCHBACK_TOKEN"
    if token_file is not None or not token:
        path = token_file or Path(environment.get("SWITCHBACK_HOME") or ".switchback") / "admin-token"
        source = str(path)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(
                f"no admin token: {path}: {_reason(error)}; `switchback serve` makes it at its first start, "
                "or name one with --token-file or SWITCHBACK_TOKEN"
            ) from None
    if not token or not token.isascii() or not token.isprintable():
        raise CommandFailed(f"{source} holds no usable token")
    return token


def _asked(query: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a query was said, as it is written in one."""
    words = {True: "true", False: "false"}
    said = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: words[value] if isinstance(value, bool) else value for name, value in said.items()}


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := answer.read(_PIECE_BYTES):
            yield piece
    except (http.client.HTTPException, OSError):
        raise CommandFailed("the server broke the download off: what came is not everything") from None


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, UnicodeError):
        return "not a name" if isinstance(error, UnicodeEncodeError) else "not a text"
    return (error.strerror or type(error).__name__).lower()
