"""B5 and B6: many calls at the same moment against caps that pay for ten, and what has no price under a cap in dollars."""

import asyncio
from collections import Counter

from benchmarks.hostile.figures import Figure
from benchmarks.hostile.product import AGENT, SMALL, Product, Trial, installed
from benchmarks.hostile.traffic import request, status_of

_BURST = 500
_ADMITTED = 10


async def attack(trial: Trial) -> list[Figure]:
    """With one process, or with a worker more than is otherwise tried."""
    workers = trial.workers if trial.workers == 1 else trial.workers + 1
    async with installed(trial.folder, workers) as product:
        await product.cap(SMALL, _ADMITTED)
        statuses = await _burst(product, SMALL, max_tokens=8)
        received = await product.anthropic.received()
        text = f"{workers} workers: {statuses[200]} of {_BURST} admitted, {received} reached the provider, {statuses[402]} refused"
        exact = statuses[200] == received == _ADMITTED and statuses[402] == _BURST - _ADMITTED
        return [Figure("B5", text.replace("1 workers", "1 worker"), exact), await _without_price(product)]


async def _burst(product: Product, agent: str, **members: object) -> Counter[int]:
    said = request(agent, "[[simulate: delay_ms=100]]", **members)
    return Counter(await asyncio.gather(*(status_of(product.address, said) for _ in range(_BURST))))


async def _without_price(product: Product) -> Figure:
    """A model nobody knows, and output without a bound, under a cap in dollars that is nearly nothing."""
    before = await product.openai.received()
    await product.operator.version(AGENT, "Be kind.", parent=1, model="a-model-nobody-knows")
    await product.operator.label(AGENT, "prod", 2)
    await product.cap(AGENT, 1000, unit="usd")
    unpriced = await _burst(product, AGENT)
    passed = await product.openai.received() - before
    text = f"{product.workers} workers: {passed} of {_BURST} without a price passed ({dict(unpriced)})"
    return Figure("B6", text.replace("1 workers", "1 worker"), passed == 0 and unpriced[402] == _BURST)
