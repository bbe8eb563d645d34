"""What the log says of a certificate: each renewal, and each reason why there is none, once."""

import shutil
from pathlib import Path

import orjson

from proxy.http1.tls import ServerCertificate
from proxy.runtime.process.certificate_watch import CertificateWatch
from proxy.runtime.process.clock import SystemClock

CERTIFICATES = Path(__file__).parents[2] / "http1" / "certificates"


async def test_a_renewal_and_each_reason_against_it_is_said_once(tmp_path: Path) -> None:
    file, lines = tmp_path / "both.pem", list[bytes]()
    shutil.copy(CERTIFICATES / "localhost.pem", file)
    watch = CertificateWatch(ServerCertificate(str(file)), lines.append, SystemClock())

    async def said() -> list[tuple[str, str, str]]:
        """What three looks put into the log."""
        lines.clear()
        for _ in range(3):
            await watch.look()
        told = [orjson.loads(line) for line in lines]
        return [(line["level"], line["event"], line["reason"]) for line in told]

    assert await said() == []
    shutil.copy(CERTIFICATES / "renewed.pem", file)
    assert await said() == [("info", "certificate_renewed", "its files changed")]
    for _ in range(2):
        file.write_text("no certificate")
        ((level, event, reason),) = await said()
        assert (level, event) == ("error", "certificate_unusable")
        assert reason == "the one shown before stays: certificate and key cannot be used together (not PEM)"
        file.unlink()
        ((level, event, reason),) = await said()
        assert reason == "the one shown before stays: a file cannot be read (No such file or directory)"
        shutil.copy(CERTIFICATES / "localhost.pem", file)
        assert [event for _, event, _ in await said()] == ["certificate_renewed"]
