"""The command `switchback`: which verbs there are.

Only assembly: each noun has a module, and running.py runs them. What this imports is what `--help` and every admin verb wait for,
so nothing here may reach aiohttp, pydantic or the price library; `serving.py` fetches those when a server is really wanted, and
then without the other verbs. Exit codes stand in `failures.py`.
"""

from collections.abc import Callable

from proxy.cli import (
    agents,
    audit,
    caps,
    demo,
    diff_view,
    drills,
    git_verbs,
    help_pages,
    importing,
    labels,
    outcome_files,
    plans,
    proposals,
    rehearsal,
    report,
    rollouts,
    runs,
    serving,
    store,
    switches,
    tokens,
    versions,
    webhooks,
)
from proxy.cli.running import new_root, run

app = new_root()
for commands in (serving.commands, demo.commands):
    app.add_typer(commands)
app.add_typer(agents.commands, name="agents")
importing.register(agents.commands)
git_verbs.register(app, agents.commands)
app.add_typer(versions.commands, name="versions")
diff_view.register(app)
app.add_typer(labels.commands)
app.add_typer(rollouts.commands, name="rollout")
app.add_typer(plans.commands, name="plans")
rehearsal.register(rollouts.commands)
app.add_typer(drills.commands)
app.add_typer(switches.commands)
app.add_typer(caps.commands, name="caps")
app.add_typer(report.commands, name="report")
report.register(versions.commands)
app.add_typer(runs.commands, name="runs")
app.add_typer(runs.outcome_commands)
app.add_typer(runs.outcomes_commands, name="outcomes")
outcome_files.register(runs.outcomes_commands)
app.add_typer(audit.commands, name="audit")
app.add_typer(audit.status_commands)
app.add_typer(store.commands, name="store")
app.add_typer(webhooks.commands, name="webhooks")
proposals.register(app)
tokens.register(app)
help_pages.register(app)


def main(ready: Callable[[], object] = lambda: None) -> None:
    """Run whichever verb the command line names (running.py)."""
    run(app, ready)
