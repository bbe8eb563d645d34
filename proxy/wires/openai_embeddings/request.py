"""Putting the model that a version names for embeddings into a request. Nothing else of a version has a place there.

Belongs here: which members change. Counterpart: openai_chat/request.py.
"""

from typing import cast

from proxy.wires.json.edits import MemberEdits
from proxy.wires.json.members import JsonMembers
from proxy.wires.json.values import json_text
from proxy.wires.shared.version_parts import final_model, service_tier_of
from proxy.wires.wire import Injection, InjectionPlan, RequestFacts


def inject_model(request: RequestFacts, plan: InjectionPlan) -> Injection:
    """The body with the version's model for embeddings in it. Raises BadInput(`model_missing`, `wrong_kind`)."""
    bundle = plan.bundle
    edits = MemberEdits(cast("JsonMembers", request.document))
    edits.remove("switchback")
    named = None if bundle is None else bundle.model.embeddings
    model = final_model(None, request.model) if named is None else named
    if model is not None and model != request.model:
        edits.set("model", json_text(model))
    return Injection(
        body=edits.render(),
        model=model,
        max_output_tokens=0,  # nothing is written
        service_tier=service_tier_of(edits),
        document=edits,
    )
