"""Watching."""
import json

from checks.logins import begin, forget, secret
from world import EACH, check


@check(encodings=EACH, changes=True)
def events_are_heard(world, encoding):
    with world.client(encoding) as listener, world.client(encoding) as client:
        every = listener.send("subscribe")
        follow = listener.send({"log_follow": {"lines": 3, "provider": None, "run": None}})
        listener.ask("status")
        provider, started = begin(client, world, "submit")
        try:
            client.ask({"login_submit": {"login": started["login"], "secret": secret()}})
            about = lambda event: world.connection in event["line"]
            line = listener.event(follow, "audit", about)["line"]
            assert json.loads(line), line
        finally:
            forget(client, world, provider)
        listener.event(every, "connection_changed", lambda event: event["connection"] == world.connection)
        for number in (every, follow):
            listener.cancel(number)
            assert listener.answer(number) == "done"
        lines = client.ask({"log": {"lines": 50, "provider": provider, "run": None}})["log"]["lines"]
        assert any(world.connection in line for line in lines)
        assert client.ask("log_verify")["log_verified"]["broken"] is None
