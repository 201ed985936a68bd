"""Logging in."""
import html.parser
import random
import urllib.request

from wire import Refused
from world import EACH, check, only_word, refused


def key_provider(client):
    """A provider that takes any key."""
    for provider in client.ask("providers")["providers"]["providers"]:
        if provider["auth"] == "api_key" and not provider["not_yet"] and not provider["key_pattern"]:
            return provider["provider"]
    raise AssertionError("no provider takes any key")


def begin(client, world, via, provider=None, connection=None):
    provider = provider or key_provider(client)
    request = {"provider": provider, "connection": connection or world.connection, "force": False, "via": via,
               "region": None, "flow": None, "scopes": [], "base_url": None, "client_id": None}
    return provider, client.ask({"login": request})["login_started"]


def secret():
    return f"conformance{random.randrange(16 ** 24):024x}"


def forget(client, world, provider, connection=None):
    try:
        client.ask({"logout": {"provider": provider, "connection": connection or world.connection}})
    except Refused as error:
        assert error.code in ("unknown_connection",), error


@check(encodings=EACH, changes=True)
def login_by_submit(world, encoding):
    with world.client(encoding, timeout=60) as client, world.client(encoding) as listener:
        hearing = listener.send("subscribe")
        listener.ask("status")
        provider, started = begin(client, world, "submit")
        try:
            assert started["step"] == {"enter": {"asks": "api_key"}}, started
            assert started["seconds_left"] > 500
            waiting = client.send({"login_wait": {"login": started["login"]}})
            client.event(waiting, "login_progress", lambda event: only_word(event["stage"]) in ("step", "waiting"))
            value = secret()
            done = client.ask({"login_submit": {"login": started["login"], "secret": value}})["logged_in"]
            assert (done["provider"], done["connection"]) == (provider, world.connection), done
            assert client.answer(waiting)["logged_in"]["connection"] == world.connection
            listener.event(hearing, "connection_changed", lambda event: event["connection"] == world.connection)
            listed = client.ask("connections")["connections"]
            assert [item for item in listed if item["connection"] == world.connection][0]["state"] == "connected"
            one = client.ask({"connection": {"provider": provider, "connection": world.connection}})["connection"]
            assert one["auth"] == "api_key"
            shown = client.ask({"reveal": {"provider": provider, "connection": world.connection}})["revealed"]
            assert shown["secret"] == value
            refused(client, {"login_submit": {"login": started["login"], "secret": value}},
                    "login_expired", "bad_request")
            error = refused(client, {"login": request_again(provider, world)}, "already_connected")
            assert error.error["message"]
        finally:
            forget(client, world, provider)
        refused(client, {"connection": {"provider": provider, "connection": world.connection}}, "unknown_connection")


def request_again(provider, world):
    return {"provider": provider, "connection": world.connection, "force": False, "via": "submit", "region": None,
            "flow": None, "scopes": [], "base_url": None, "client_id": None}


class Form(html.parser.HTMLParser):
    """The page's form: where it goes, and its fields."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields, self.asked = None, {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action", "")
        if tag in ("input", "textarea") and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value") or ""
            if attributes.get("type") not in ("hidden", "submit"):
                self.asked.append(attributes["name"])


@check(encodings=EACH, changes=True)
def login_by_form(world, encoding):
    with world.client(encoding, timeout=60) as client:
        provider, started = begin(client, world, "form")
        try:
            step = started["step"]["form"]
            assert step["asks"] == "api_key", step
            waiting = client.send({"login_wait": {"login": started["login"]}})
            stages = [client.event(waiting, "login_progress")["stage"] for _ in range(3)]
            assert any(only_word(stage) == "waiting" for stage in stages), stages
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            page = opener.open(step["url"], timeout=10).read().decode()
            form = Form(page)
            origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(step["url"]))
            headers = {"Origin": origin, "Referer": step["url"], "Sec-Fetch-Site": "same-origin",
                       "Sec-Fetch-Mode": "navigate", "Content-Type": "application/x-www-form-urlencoded"}
            assert form.asked, page
            fields = form.fields | {name: secret() for name in form.asked[:1]}
            target = urllib.parse.urljoin(step["url"], form.action)
            post = urllib.request.Request(target, urllib.parse.urlencode(fields).encode(), headers)
            assert opener.open(post, timeout=20).status == 200
            assert client.answer(waiting)["logged_in"]["connection"] == world.connection
        finally:
            forget(client, world, provider)


@check(encodings=EACH, changes=True)
def login_that_is_given_up(world, encoding):
    with world.client(encoding) as client:
        _, started = begin(client, world, "submit")
        waiting = client.send({"login_wait": {"login": started["login"]}})
        client.event(waiting, "login_progress")
        client.cancel(waiting)
        ended(client, waiting, "cancelled")
        _, started = begin(client, world, "submit")
        waiting = client.send({"login_wait": {"login": started["login"]}})
        client.event(waiting, "login_progress")
        assert client.ask({"login_cancel": {"login": started["login"]}}) == "done"
        ended(client, waiting, "cancelled", "login_cancelled")


def ended(client, number, *codes):
    try:
        raise AssertionError(f"it ended with {client.answer(number)}")
    except Refused as error:
        assert error.code in codes, error


@check(encodings=EACH, changes=True)
def secret_that_is_none_is_refused_and_asked_for_again(world, encoding):
    with world.client(encoding) as client:
        provider, started = begin(client, world, "submit")
        for bad in ("", "x" * (64 * 1024 + 1), "with\nline end"):
            refused(client, {"login_submit": {"login": started["login"], "secret": bad}}, "invalid_secret")
        client.ask({"login_cancel": {"login": started["login"]}})
