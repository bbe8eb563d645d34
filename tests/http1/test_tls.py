"""A listener's certificate follows its files: new connections are shown the latest one that can be used; what is over is gone."""

import asyncio
import gc
import os
import shutil
import ssl
from pathlib import Path

import pytest

from proxy.http1.client_connection import ClientConnection
from proxy.http1.request_parser import RequestParser
from proxy.http1.tls import ServerCertificate
from tests.http1.calls import POST
from tests.http1.raw import serving, until

pytestmark = pytest.mark.usefixtures("nothing_leaks")

CERTIFICATES = Path(__file__).parent / "certificates"
FIRST, RENEWED = CERTIFICATES / "localhost.pem", CERTIFICATES / "renewed.pem"


def key_of(both: Path) -> str:
    return "".join(both.read_text().partition("-----BEGIN PRIVATE KEY-----")[1:])


def replace(file: Path, content: str) -> None:
    """As those do who renew certificates: at once."""
    beside = file.with_suffix(".new")
    beside.write_text(content)
    os.replace(beside, file)


async def connected(served, name="localhost"):
    """A connection, and the certificate that it was shown. An address as the name is not sent (RFC 6066 §3)."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    client = await served.connect(ssl=anybody, server_hostname=name)
    return client, client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


def der_of(file: Path) -> bytes:
    text = file.read_text()
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])


async def test_a_renewed_certificate_is_shown_to_new_connections_and_the_old_ones_go_on(tmp_path):
    file = tmp_path / "both.pem"
    shutil.copy(FIRST, file)
    certificate = ServerCertificate(str(file))
    async with serving(tls=certificate.context) as served:
        before, shown = await connected(served)
        assert shown == der_of(FIRST)
        assert not certificate.renew()
        replace(file, RENEWED.read_text())
        assert certificate.renew()
        assert not certificate.renew()
        after, shown = await connected(served)
        assert shown == der_of(RENEWED)
        nameless, shown = await connected(served, "127.0.0.1")
        assert shown == der_of(RENEWED)
        for client in (before, after, nameless):
            client.send(POST)
            assert (await client.answer())[2] == b"abc"
            await client.close()


async def test_files_that_do_not_belong_together_or_are_gone_change_nothing_until_they_do(tmp_path):
    certificate_file, key_file = tmp_path / "certificate.pem", tmp_path / "key.pem"
    shutil.copy(FIRST, certificate_file)
    key_file.write_text(key_of(FIRST))
    certificate = ServerCertificate(str(certificate_file), str(key_file))
    async with serving(tls=certificate.context) as served:
        # Renewed one after the other: in between they do not fit.
        replace(certificate_file, RENEWED.read_text())
        with pytest.raises(ssl.SSLError):
            certificate.renew()
        assert not certificate.renew()
        client, shown = await connected(served)
        await client.close()
        assert shown == der_of(FIRST)
        key_file.unlink()
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                certificate.renew()
        key_file.write_text(key_of(RENEWED))
        assert certificate.renew()
        client, shown = await connected(served)
        await client.close()
        assert shown == der_of(RENEWED)


async def test_a_connection_that_is_over_leaves_nothing_to_the_garbage_collector():
    if type(asyncio.get_running_loop()).__module__ != "uvloop":
        pytest.skip("asyncio's own loop, which serves nobody, keeps cycles of its own")
    gc.collect()
    gc.disable()
    try:
        async with serving(tls=ServerCertificate(str(FIRST)).context) as served:
            before = len(left_of_connections())
            for _ in range(3):
                client, _ = await connected(served)
                client.send(POST)
                assert (await client.answer())[2] == b"abc"
                await client.close()
            await until(lambda: not served.listener._connections)
            await until(lambda: len(left_of_connections()) == before)
    finally:
        gc.enable()


def left_of_connections():
    return [
        left
        for left in gc.get_objects()
        if isinstance(left, (ClientConnection, RequestParser)) or (isinstance(left, ssl.SSLObject) and left.server_side)
    ]
