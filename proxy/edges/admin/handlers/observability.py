"""What machines look at without a token: /metrics, /livez, /readyz."""

import orjson
from aiohttp import web

from proxy.runtime.reports.process import ProcessReader
from proxy.runtime.reports.scrape import SCRAPE_CONTENT_TYPE, Scrape


def add_observability(app: web.Application, scrape: Scrape, process: ProcessReader) -> None:
    """Register the three paths."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=await scrape.text(), headers={"Content-Type": SCRAPE_CONTENT_TYPE})

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        content = process.readiness()
        status = 200 if content["ready"] else 503
        return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
