"""Webhooks put together from the settings: a part of the composition root."""

from collections.abc import Callable
from urllib.parse import urlsplit

from proxy.edges.webhooks.posting import HttpPosting
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.webhooks.endpoints import Endpoint
from proxy.runtime.webhooks.webhooks import AuditSource, Webhooks
from proxy.settings import Settings
from proxy.store.files.outbox_file import FILE_NAME, OutboxFile
from proxy.webhook_settings import WebhookSettings


def webhooks_of(
    settings: Settings,
    source: AuditSource,
    metrics: Metrics,
    clock: Clock,
    identifiers: Identifiers,
    tell: Callable[..., None],
    on_error: Callable[[BaseException], None],
) -> Webhooks:
    """What tells the endpoints of the settings."""
    endpoints = [_endpoint(name, webhook) for name, webhook in settings.webhooks.items()]
    file = OutboxFile(settings.home / FILE_NAME)
    return Webhooks(endpoints, source, file, HttpPosting(), metrics, clock, identifiers, tell, on_error)


def _endpoint(name: str, webhook: WebhookSettings) -> Endpoint:
    url = webhook.url.get_secret_value()
    return Endpoint(
        name=name,
        url=url,
        host=urlsplit(url).hostname or "",
        secret=None if webhook.secret is None else webhook.secret.get_secret_value(),
        events=tuple(webhook.events),
        form=webhook.form,
        allow_private=webhook.allow_private,
        timeout_seconds=webhook.timeout_seconds,
    )
