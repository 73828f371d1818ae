import pytest, importlib.util
from activities.postgres import transaction
from contracts.setting import ClockKind
from tests.integration.conftest import Story
from tests.integration.money.eventful import Eventful
from tollkeeper.verify import verify
spec = importlib.util.spec_from_file_location("d", "/tmp/w/s14_dmg.py"); d = importlib.util.module_from_spec(spec); spec.loader.exec_module(d)
async def test_x(databases, key_account, withheld):
  async with databases.copy() as pool:
    await Story(pool, key_account, "L1", ClockKind.LIVE).played()
    await Story(pool, withheld, "H1", ClockKind.LIVE).live()
    one = Eventful(pool, key_account, "K1")
    await one.happens()
    print(one.number)
    for r in await pool.fetch("select key, code from journal_group where code in ('E30','E08')"): print(dict(r))
    for r in await pool.fetch("select item, account, side, amount_minor from posting where account like 'M%' and item like 'gain%'"): print(dict(r))
    v = await verify(pool)
    print([c for c in v.checks if not c.ok])
    class Stop(Exception): pass
    for check, sql in d.NEW:
        sql = sql.replace("{M2}", one.number["M2"])
        import asyncpg
        c = await pool.acquire()
        tr = c.transaction(); await tr.start()
        try:
            await c.execute(f"set local session_replication_role = replica; {sql}")
            from tollkeeper.verify import core
            from itertools import groupby
            cs = []
            try:
              for q, rules in groupby(core.INVARIANTS, key=lambda r: r.query):
                cs += await core._checked(c, q, list(rules))
              found = {x.id: x.violations for x in cs if x.violations}
            except Exception as e:
              found = {check: ("EXC "+repr(e),)}
            print("##", check, "|", sql); 
            for f in found.get(check, ("NOTHING",))[:3]: print("   ", f)
            print("      also", [k for k in found if k != check])
        except Exception as e:
            print("##", check, sql, "SQL", repr(e))
        await tr.rollback(); await pool.release(c)
