"""Crowds."""
import time

from wire import BINCODE, Closed
from world import check


@check(own=True)
def crowd_does_not_shut_others_out(world):
    crowd = []
    try:
        for _ in range(400):
            try:
                crowd.append(world.client(BINCODE))
            except (Closed, BlockingIOError):
                pass
        assert len(crowd) >= 200, f"only {len(crowd)} were let in"
        deadline = time.monotonic() + 10
        while True:
            try:
                world.alive()
                break
            except Closed:
                assert time.monotonic() < deadline, "nobody is served beside a crowd that does nothing"
                time.sleep(0.1)
    finally:
        for client in crowd:
            client.socket.close()
    world.alive()
