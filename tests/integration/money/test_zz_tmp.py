import asyncio
from tollkeeper.cli import app
async def test_cli(story,pool,monkeypatch,tmp_path,capsys,databases):
    one=story(); await one.opened(); b=await one.consulted()
    name=await pool.fetchval("select current_database()")
    from urllib.parse import urlsplit
    monkeypatch.setenv("TOLLKEEPER_DSN", urlsplit(databases.dsn)._replace(path="/"+name).geturl())
    monkeypatch.setenv("TOLLKEEPER_TEMPORAL", "127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    for args in (["invoice","print",b.number],["invoice","print",b.number,"--language","zh","--to","x.pdf","--json"]):
        await asyncio.to_thread(app,args,result_action="return_value")
    print(list(tmp_path.iterdir())); print(capsys.readouterr().out)
    with __import__("pytest").raises(Exception) as e:
        await asyncio.to_thread(app,["invoice","print",b.number,"--to","/nowhere/x.pdf"],result_action="return_value")
    print(repr(e.value))
    with __import__("pytest").raises(Exception) as e:
        await asyncio.to_thread(app,["decision","print","nix"],result_action="return_value")
    print(repr(e.value))
