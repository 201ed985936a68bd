"""mitmproxy addon: sets one header, as the peers of the bench do, and finds the upstream."""
import os


class Inject:
    def server_connect(self, data):
        host, port = os.environ["BENCH_UPSTREAM"].split(":")
        data.server.address = (host, int(port))

    def request(self, flow):
        flow.request.headers["authorization"] = "Bearer " + os.environ["BENCH_TOKEN"]


addons = [Inject()]
