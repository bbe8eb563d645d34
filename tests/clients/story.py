"""Run by the environment of the generated client: `story.py FOLDER URL TOKEN`, where FOLDER holds the package `admin_api`."""

import sys

sys.path.insert(0, sys.argv[1])

from admin_api import AuthenticatedClient
from admin_api.api.agents import create_agent, create_version, get_agent, list_agents, move_label
from admin_api.api.status import get_status
from admin_api.models import (
    AgentBody,
    AgentList,
    AgentState,
    LabelBody,
    LabelMoved,
    Problem,
    ProcessStatus,
    VersionBody,
    VersionBodyPromptType0,
    VersionChanged,
)

with AuthenticatedClient(base_url=sys.argv[2], token=sys.argv[3]) as client:
    made = create_agent.sync(client=client, body=AgentBody(agent="generated", why="a test"))
    assert getattr(made, "agent", None) == "generated", made
    again = create_agent.sync(client=client, body=AgentBody(agent="generated"))
    assert isinstance(again, Problem), again
    assert (again.status, again.code) == (409, "agent_exists")
    prompt = VersionBodyPromptType0.from_dict({"text": "Be kind."})
    version = create_version.sync("generated", client=client, body=VersionBody(prompt=prompt))
    assert isinstance(version, VersionChanged), version
    assert (version.version, version.prompt.text) == (1, "Be kind.")
    moved = move_label.sync("generated", "prod", client=client, body=LabelBody(version=version.version))
    assert isinstance(moved, LabelMoved), moved
    assert (moved.changed, moved.version) == (True, 1)
    state = get_agent.sync("generated", client=client)
    assert isinstance(state, AgentState), state
    assert [label.label for label in state.labels] == ["prod"]
    listed = list_agents.sync(client=client, limit=500)
    assert isinstance(listed, AgentList), listed
    assert "generated" in {agent.agent for agent in listed.items}
    status = get_status.sync(client=client)
    assert isinstance(status, ProcessStatus), status
    assert status.store.up
sys.stdout.write("told\n")
