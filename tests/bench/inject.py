"""mitmproxy addon: sets one header, as the peers of the bench do. The upstream is found by name
resolution, so that mitmproxy itself knows nothing of it."""
import os
import socket

HOST, PORT = os.environ["BENCH_UPSTREAM"].split(":")
VALUE = "Bearer " + os.environ["BENCH_TOKEN"]
resolve = socket.getaddrinfo


def at_the_upstream(name, port, *rest, **more):
    if name == "api.intercom.io":
        name, port = HOST, int(PORT)
    return resolve(name, port, *rest, **more)


socket.getaddrinfo = at_the_upstream


class Inject:
    def request(self, flow):
        flow.request.headers["authorization"] = VALUE


addons = [Inject()]
