"""Settings of webhooks: who is told of what, and by which secret it is known that the proxy says so.

A section of settings.py, by name: `webhooks: {ops: {url: https://…, secret: whsec_…, events: [rollout, label]}}`.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from proxy.core.addresses import Address, http_url
from proxy.core.webhooks.events import SUBJECTS, Subject
from proxy.core.webhooks.signing import secret_bytes


def _url(value: SecretStr) -> SecretStr:
    parts = http_url(value.get_secret_value())
    if parts is None or parts.username is not None:
        raise ValueError("must be a URL such as https://hooks.example/switchback, without a user in it")
    return value


def _secret(value: SecretStr) -> SecretStr:
    secret_bytes(value.get_secret_value())
    return value


class WebhookSettings(BaseModel):
    """One endpoint. Its URL is kept as a secret: some, such as Slack's, are all that whoever knows them needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[SecretStr, AfterValidator(_url)]
    #: What it signs with; made by `openssl rand -base64 32` behind `whsec_`.
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    events: tuple[Subject, ...] = SUBJECTS
    #: standard: the event as JSON, signed; slack: a text for a channel.
    form: Literal["standard", "slack"] = "standard"
    #: Allow addresses that are not public: of this machine, of a private network.
    allow_private: bool = False
    #: Allow plain http to a host that is not this machine.
    allow_http: bool = False
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10

    @model_validator(mode="after")
    def _fits(self) -> "WebhookSettings":
        parts = urlsplit(self.url.get_secret_value())
        if self.form == "standard" and self.secret is None:
            raise ValueError("secret is missing: without one nobody can tell who says so")
        if parts.scheme == "http" and not Address(parts.hostname or "", 0).is_loopback and not self.allow_http:
            raise ValueError("url: what is told would cross the network in clear; use https or allow_http: true")
        return self


#: By the name that an endpoint is shown under.
Webhooks = dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], WebhookSettings]
