// Compiled against the generated types and run against a real server: node story.js URL TOKEN.
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
type Answered<P extends keyof paths> = paths[P] extends { get: { responses: { 200: { content: { "application/json": infer T } } } } } ? T : never;

const [url, token] = process.argv.slice(2) as [string, string];

async function ask<T>(method: string, path: string, status: number, body?: object): Promise<T> {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const agent: Schemas["AgentBody"] = { agent: "typed", description: "told by types" };
const made = await ask<Schemas["AgentStateChanged"]>("POST", "/api/v1/agents", 201, agent);
check(made.agent === "typed" && made.newest_version === null, "the agent is new");
const version: Schemas["VersionBody"] = { prompt: { text: "Be kind." }, model: null };
const created = await ask<Schemas["VersionChanged"]>("POST", "/api/v1/agents/typed/versions", 201, version);
check(created.version === 1 && created.prompt.mode === "replace", "the version is the first");
const move: Schemas["LabelBody"] = { version: created.version };
const moved = await ask<Schemas["LabelMoved"]>("PUT", "/api/v1/agents/typed/labels/prod", 200, move);
check(moved.changed, "the label moved");
const listed = await ask<Answered<"/api/v1/agents">>("GET", "/api/v1/agents?limit=500", 200);
check(listed.items.some((one) => one.agent === "typed") && listed.next === null, "the list has it");
const problem = await ask<Schemas["Problem"]>("POST", "/api/v1/agents", 409, agent);
check(problem.code === "agent_exists", "a second one is refused");
// @ts-expect-error a mode that there is not
const wrong: Schemas["SwitchBody"] = { scope: {}, mode: "stop" };
check(wrong.scope !== undefined, "types are checked");
console.log("told");
