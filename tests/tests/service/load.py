"""Asks for a URL a hundred times a second through the proxy of the environment, on kept connections,
and counts what became of it. What it prints last is an object.

    load.py URL SECONDS restart|crash

A request that fails on a connection that was used before is asked once more on a new one, as HTTP
clients do. A new connection that fails is a failure; in a crash, only if it is the second in a row.
"""
import base64, http.client, json, os, ssl, sys, threading, time, urllib.parse

THREADS, RATE = 4, 100
url, seconds = urllib.parse.urlsplit(sys.argv[1]), float(sys.argv[2])
in_crash = sys.argv[3] == "crash"
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
result = {"asked": 0, "connections": 0, "retried": {}, "failed": {}, "statuses": {}}
lock = threading.Lock()


def count(where, what):
    with lock:
        result[where][what] = result[where].get(what, 0) + 1


def connect():
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=20, context=context)
    connection.set_tunnel(url.hostname, 443, {"Proxy-Authorization": "Basic " + login})
    with lock:
        result["connections"] += 1
    return connection


def once(connection):
    connection.request("GET", url.path)
    answer = connection.getresponse()
    answer.read()
    return answer


def work(number):
    connection, used = connect(), False
    begin = time.monotonic() + number / RATE
    for turn in range(int(seconds * RATE / THREADS)):
        time.sleep(max(0, begin + turn * THREADS / RATE - time.monotonic()))
        with lock:
            result["asked"] += 1
        for attempt in ("first", "second"):
            try:
                answer = once(connection)
                if answer.status == 200:
                    count("statuses", 200)
                    used = not answer.will_close
                    if answer.will_close:
                        connection = connect()
                    break
                kind = f"{answer.status} {answer.headers.get('authsome-error')}"
            except Exception as error:
                kind = f"{type(error).__name__}: {error}"
            connection.close()
            connection = connect()
            if attempt == "first" and (used or in_crash):
                count("retried", kind)
                used = False
                continue
            count("failed", kind)
            break


threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
print("started", flush=True)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(result), flush=True)
