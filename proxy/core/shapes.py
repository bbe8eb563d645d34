"""What members of documents look like, in the words of JSON Schema: formats, patterns, bounds, an example each.

A document is a TypedDict beside the value it shows; its members are of these kinds where more can be said than a type. The admin
API's description is made of them, so that what is answered and what is described are declared once.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from proxy.core.names import AGENT_PATTERN, LABEL_PATTERN, PLAN_PATTERN

Moment = Annotated[
    str,
    Meta(
        description="RFC 3339 in UTC, exact to the microsecond",
        examples=["2026-11-20T14:03:00.125000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
AgentName = Annotated[str, Meta(pattern=f"^{AGENT_PATTERN}$", examples=["support"])]
LabelName = Annotated[str, Meta(pattern=f"^{LABEL_PATTERN}$", examples=["prod"])]
PlanName = Annotated[str, Meta(pattern=f"^{PLAN_PATTERN}$", examples=["cautious"])]
VersionNumber = Annotated[int, Meta(ge=1, description="numbered per agent, from 1", examples=[3])]
#: 0 stands for a label that is not set.
ReleaseNumber = Annotated[int, Meta(ge=0, description="numbered per agent, from 1", examples=[12])]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 over canonical JSON", examples=["5f" * 32])]
TRACE_ID_PATTERN = "^[0-9a-f]{32}$"
TraceId = Annotated[
    str, Meta(pattern=TRACE_ID_PATTERN, description="32 hex digits, as in W3C `traceparent`", examples=["4bf9" * 8])
]
Count = Annotated[int, Meta(ge=0)]
Usd = Annotated[float, Meta(description="US dollars", examples=[0.0000015])]
Milliseconds = Annotated[float, Meta(description="milliseconds", examples=[2.5])]
Span = Annotated[str, Meta(description="a span of time such as 45s, 15m, 2h or 7d; `never`", examples=["15m"])]
Share = Annotated[float, Meta(ge=0, le=100, description="percent", examples=[5])]
Amount = Annotated[float, Meta(description="in the cap's unit, dollars for usd", examples=[12.5])]
Why = Annotated[str, Meta(description="in the words of whoever did it", examples=["too many wrong refunds"])]
Who = Annotated[str, Meta(description="the name of the token it was done with", examples=["alice"])]
JsonObject = Annotated[Mapping[str, Any], Meta(description="any members")]
