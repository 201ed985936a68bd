"""Requests that only look."""
import json
import os

import wire
from wire import BINCODE, JSON
from world import EACH, check, explain, refused


@check(encodings=EACH)
def looking_is_answered(world, encoding):
    with world.client(encoding) as client:
        expect = {"status": "status", "connections": "connections", "providers": "providers", "runs": "runs",
                  "log_verify": "log_verified", "doctor": "doctor", "who_am_i": "who_am_i",
                  "webhooks": "webhooks"}
        for request, answer in expect.items():
            assert only(client.ask(request)) == answer, request
        log = client.ask({"log": {"lines": 5, "provider": None, "run": None}})["log"]
        assert len(log["lines"]) <= 5
        explained = client.ask({"explain": explain("https://example.org/x")})["explained"]
        assert explained["outcome"] in world.document.words("effect")


def only(answer):
    (name,) = answer
    return name


@check(encodings=EACH)
def status_and_caller_are_right(world, encoding):
    with world.client(encoding) as client:
        status = client.ask("status")["status"]
        assert status["pid"] == client.peer_pid, status
        assert status["socket"] == str(world.socket), status
        assert status["version"] == client.build, status
        assert wire.read_note(os.path.join(status["home"], "daemon.lock")) == str(world.socket)
        me = client.ask("who_am_i")["who_am_i"]
        assert (me["uid"], me["pid"], me["home"]) == (os.getuid(), os.getpid(), status["home"]), me


@check(encodings=EACH)
def providers_can_be_looked_at(world, encoding):
    with world.client(encoding) as client:
        providers = client.ask("providers")["providers"]["providers"]
        assert providers, "there are none"
        for provider in providers[:10]:
            text = client.ask({"inspect": {"provider": provider["provider"]}})["definition"]["json"]
            json.loads(text)


@check()
def both_encodings_say_the_same(world):
    with world.client(JSON) as one, world.client(BINCODE) as other:
        for request in ("providers", "connections", "webhooks"):
            assert one.ask(request) == other.ask(request), request


@check(encodings=EACH)
def errors_have_their_codes(world, encoding):
    nobody, login = {"provider": "no-such-provider"}, {"login": "nosuchlogin"}
    with world.client(encoding) as client:
        refused(client, {"inspect": nobody}, "unknown_provider")
        refused(client, {"connection": nobody | {"connection": None}}, "unknown_connection", "unknown_provider")
        refused(client, {"login_wait": login}, "login_expired")
        refused(client, {"login_submit": login | {"secret": "x"}}, "login_expired")
        refused(client, {"run_stop": {"run": "nosuchrun"}}, "unknown_run")
        refused(client, {"webhook_remove": {"webhook": "no-such-webhook"}}, "unknown_webhook")
        client.ask("status")
