import pytest, os
from tests.hostile.test_providers import *
pytestmark = pytest.mark.usefixtures("nothing_leaks")
import tests.hostile.conftest as c
async def test_0(): pass
async def test_1(provider): pass
async def test_2(stage): pass
async def test_3(stage):
    await recorded(KINDS[0])
async def test_4(stage, provider):
    provider.parts["x"]=says(whole(GOOD))
    await ask(stage, WHOLE[0], "x")
async def test_5(stage, provider):
    provider.parts["x"]=says(whole(GOOD))
    await ask(stage, WHOLE[0], "x")
    await settled(stage, 1)
async def test_6(stage, provider):
    for n in range(20): provider.parts[str(n)]=says(whole(GOOD))
    await ask_all(stage, WHOLE[0], [str(n) for n in range(20)])
    await settled(stage, 20)
async def test_7(stage, provider):
    for n in range(20): provider.parts[str(n)]=says(whole(GOOD)[:50], then="reset")
    await ask_all(stage, WHOLE[0], [str(n) for n in range(20)])
    await settled(stage, 20)
