/** The protocol's pure parts, and the connection against servers that misbehave. */

import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "node:test";

import { connect } from "../src/protocol/connection";
import type { Failure } from "../src/protocol/failure";
import { FRAME_MAX, FrameError, FrameReader, HELLO_MAX, frame } from "../src/protocol/frame";
import { agree, decodeHello, encodeHello } from "../src/protocol/hello";
import { Link, type LinkState } from "../src/protocol/link";
import { type Request, decode, encodeCancel, encodeRequest, isWireError } from "../src/protocol/messages";
import { checkSocket, fnv1a, lockNote, parseNote, placesOf } from "../src/protocol/places";
import { notStarted, startDaemon } from "../src/protocol/start";
import { UID, failureOf, greeter, hello, listen, peer, places, scratch } from "./peer";
import { GOLDEN } from "./world";

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

test("the opening has the bytes of the document", () => {
  const wire = frame(encodeHello("doc-1"), HELLO_MAX);
  assert.deepEqual(wire, hex("00 00 00 13 41 55 54 48 53 4f 4d 45 00 01 00 01 02 05 64 6f 63 2d 31"));
  const answer = hex("41 55 54 48 53 4f 4d 45 00 01 00 01 02 05 30 2e 31 2e 30");
  assert.deepEqual(decodeHello(answer), { lowest: 1, highest: 1, encoding: 2, build: "0.1.0" });
  assert.deepEqual(decodeHello(Buffer.concat([answer, hex("ff ff")]))?.build, "0.1.0");
  assert.equal(decodeHello(answer.subarray(0, -1)), undefined);
  assert.equal(decodeHello(Buffer.from("HTTP/1.1 400 Bad Request")), undefined);
});

test("versions agree on the lower of the two highest, or not at all", () => {
  const hello = (lowest: number, highest: number) => ({ lowest, highest, encoding: 2, build: "" });
  assert.equal(agree(hello(1, 7)), 1);
  assert.equal(agree(hello(0, 1)), 1);
  assert.equal(agree(hello(2, 7)), undefined);
  assert.equal(agree(hello(0, 0)), undefined);
});

test("frames come out whole however they are cut", () => {
  const payloads = [Buffer.from("opening"), Buffer.from(""), Buffer.from("x".repeat(70_000)), Buffer.from("{}")];
  const wire = Buffer.concat(payloads.map((payload) => frame(payload, FRAME_MAX)));
  for (const size of [1, 3, 4, 5, 1000, wire.length]) {
    const reader = new FrameReader();
    const came: Buffer[] = [];
    for (let at = 0; at < wire.length; at += size) {
      reader.push(wire.subarray(at, at + size));
      for (let next = reader.next(); next !== undefined; next = reader.next()) {
        came.push(Buffer.from(next));
      }
    }
    assert.deepEqual(came, payloads);
  }
});

test("a length over the limit is refused by its prefix alone (F1, L9)", () => {
  const first = new FrameReader();
  first.push(hex("00 00 02 01"));
  assert.throws(() => first.next(), FrameError);
  const later = new FrameReader();
  later.push(frame(Buffer.from("opening"), HELLO_MAX));
  later.next();
  later.push(hex("00 10 00 01"));
  assert.throws(() => later.next(), FrameError);
  assert.throws(() => frame(Buffer.alloc(FRAME_MAX + 1), FRAME_MAX), FrameError);
});

test("every request that is sent is the golden one, field by field", () => {
  const pair = ["intercom", "team"] as const;
  const requests: Record<string, Request> = {
    request_status: "status",
    request_connections: "connections",
    request_providers: "providers",
    request_subscribe: "subscribe",
  };
  for (const [name, request] of Object.entries(requests)) {
    assert.deepEqual(JSON.parse(encodeRequest(9, request).toString()), golden(name));
  }
  assert.deepEqual(JSON.parse(encodeCancel(9).toString()), golden("cancel"));
  // the same fields; the compiler holds their types
  const shapes: Record<string, Request> = {
    request_login: {
      login: {
        provider: "p",
        connection: null,
        force: false,
        via: "form",
        region: null,
        flow: null,
        scopes: [],
        base_url: null,
        client_id: null,
      },
    },
    request_login_server: {
      login_server: { url: "", connection: null, force: false, via: "form", scopes: [], client_id: null },
    },
    request_login_answer_client: { login_answer: { login: "", answer: { client: { id: "", secret: null } } } },
    request_login_answer_cookies: { login_answer: { login: "", answer: { cookies: [["a", "b"]] } } },
    request_login_answer_redirect: { login_answer: { login: "", answer: { redirect: "" } } },
    request_login_answer_secret: { login_answer: { login: "", answer: { secret: "" } } },
    request_login_wait: { login_wait: { login: "" } },
    request_login_cancel: { login_cancel: { login: "" } },
    request_logout: { logout: { provider: "", connection: null } },
    request_set_default: { set_default: { provider: "", connection: "" } },
    request_unlock: { unlock: { passphrase: "" } },
    request_explain: {
      explain: { method: "", url: "", run: null, connections: [pair], project: { path: "", text: "" } },
    },
  };
  for (const [name, request] of Object.entries(shapes)) {
    assert.deepEqual(shape(JSON.parse(encodeRequest(9, request).toString())), shape(golden(name)), name);
  }
});

test("every golden answer, event and error is understood", () => {
  const names = fs.readdirSync(GOLDEN).filter((name) => /^(answer|event|error)_.*\.json$/.test(name));
  assert.ok(names.length > 60, `${names.length}`);
  for (const name of names) {
    const message = decode(fs.readFileSync(path.join(GOLDEN, name)));
    if (name.startsWith("event_")) {
      assert.equal(message?.kind, "event", name);
    } else {
      assert.ok(message?.kind === "answer", name);
      assert.equal(isWireError(message.result), name.startsWith("error_"), name);
      if (!isWireError(message.result)) {
        // what stands behind the name tells variants of one answer apart
        assert.ok(name.startsWith(`answer_${message.result.name}`), name);
      }
    }
  }
});

test("what a newer daemon adds is skipped, and what is no message is told apart", () => {
  const text = (value: unknown) => decode(Buffer.from(JSON.stringify(value)));
  assert.equal(text({ event: { id: 1, event: { brand_new: {} } } })?.kind, "unknown");
  assert.equal(text({ brand_new: { id: 1 } })?.kind, "unknown");
  const answer = text({ answer: { id: 1, result: { Ok: { brand_new: 1 } } } });
  assert.ok(answer?.kind === "answer" && !isWireError(answer.result) && answer.result.name === "brand_new");
  for (const bad of ["", "{", "[]", "1", '{"answer":{}}', '{"answer":{"id":1,"result":{}}}', "\xff"]) {
    assert.equal(decode(Buffer.from(bad, "latin1")), undefined, bad);
  }
});

test("the places are those of the document", () => {
  const of = (environment: Record<string, string>) => placesOf(environment, UID, "/nowhere").socket;
  assert.equal(of({ HOME: "/home/u", XDG_RUNTIME_DIR: "/run/user/7" }), "/run/user/7/authsome/control.sock");
  assert.equal(of({ HOME: "/home/u" }), "/home/u/.authsome/run/control.sock");
  assert.equal(
    of({ HOME: "/home/u", AUTHSOME_HOME: "/home/u/.authsome/", XDG_RUNTIME_DIR: "/r" }),
    "/r/authsome/control.sock",
  );
  assert.equal(of({ AUTHSOME_HOME: "/x", XDG_RUNTIME_DIR: "/r" }), `/r/authsome-${fnv1a("/x")}/control.sock`);
  // known answers of FNV-1a, 64 bits
  assert.deepEqual([fnv1a(""), fnv1a("a"), fnv1a("foobar")], ["cbf29ce484222325", "af63dc4c8601ec8c", "85944171f73967e8"]);
  assert.throws(() => of({}), /neither/);
  assert.throws(() => of({ HOME: "u" }), /absolute/);
  assert.throws(() => of({ HOME: "" }), /neither/);
  assert.throws(() => of({ HOME: `/${"x".repeat(100)}` }), /too long/);
});

test("a lock note is a whole one in a plain file of ours (L7)", (t) => {
  const folder = scratch(t);
  const lock = path.join(folder, "daemon.lock");
  fs.writeFileSync(lock, "pid 42\nsocket /run/a b/c.sock\n");
  assert.deepEqual(lockNote(lock, UID), { pid: 42, socket: "/run/a b/c.sock" });
  assert.equal(lockNote(lock, UID + 1), undefined);
  fs.symlinkSync(lock, path.join(folder, "link"));
  assert.equal(lockNote(path.join(folder, "link"), UID), undefined);
  assert.equal(lockNote(folder, UID), undefined);
  for (const torn of ["", "pid 42\nsocket /c.sock", "pid 42\n", "pid x\nsocket /c\n", "pid 1\nsocket c\n", "pid 1\nsocket /c\n\n"]) {
    assert.equal(parseNote(torn), undefined, torn);
  }
});

test("a folder or socket that another user could have made is not used (L2, L7)", async (t) => {
  const folder = path.join(scratch(t), "run");
  const socket = path.join(folder, "control.sock");
  assert.equal(checkSocket(socket, UID), false);
  fs.mkdirSync(folder, { mode: 0o700 });
  assert.equal(checkSocket(socket, UID), false);
  await listen(t, socket, () => undefined);
  assert.equal(checkSocket(socket, UID), true);
  assert.throws(() => checkSocket(socket, UID + 1), /will not use/);
  for (const mode of [0o777, 0o720, 0o702]) {
    fs.chmodSync(folder, mode);
    assert.throws(
      () => checkSocket(socket, UID),
      (error: Failure) => error.line.includes(`0${mode.toString(8)}`) && error.code === "unsafe_place",
    );
  }
  fs.chmodSync(folder, 0o755);
  const link = path.join(path.dirname(folder), "link");
  fs.symlinkSync(folder, link);
  assert.throws(() => checkSocket(path.join(link, "control.sock"), UID), /will not use/);
  fs.writeFileSync(path.join(folder, "file"), "");
  assert.throws(() => checkSocket(path.join(folder, "file"), UID), /will not use/);
  if (UID === 0) {
    // a socket of another user in a folder of ours: the peer cannot be asked, so its owner decides
    fs.chownSync(socket, 12345, 12345);
    assert.throws(() => checkSocket(socket, UID), /will not use/);
  }
});

test("ends that share no version say so, with the command that mends it (L10)", async (t) => {
  for (const [lowest, highest, says, mends] of [
    [0, 0, "the daemon speaks 0", "`authsome daemon restart`"],
    [2, 3, "the daemon speaks 2 to 3", "`code --install-extension authsome-9.9.vsix`"],
  ] as const) {
    const places = await greeter(t, hello(lowest, highest, 0, "9.9"));
    const failure = await failureOf(connect(places, UID, "test"));
    assert.equal(failure.code, "version_skew");
    assert.ok(failure.message.includes(says), failure.message);
    assert.ok(failure.hint?.includes(mends), String(failure.hint));
  }
  const hostile = await greeter(t, hello(2, 2, 0, "1; rm -rf ~`x`"));
  assert.ok(!(await failureOf(connect(hostile, UID, "test"))).hint?.includes("rm"));
  const refused = await greeter(t, hello(1, 1, 0, "9.9"));
  assert.equal((await failureOf(connect(refused, UID, "test"))).code, "version_skew");
});

test("something else on the socket is named and not echoed", async (t) => {
  for (const reply of ["HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\x04what"]) {
    const failure = await failureOf(connect(await greeter(t, Buffer.from(reply, "latin1")), UID, "test"));
    // not `not_running`: a daemon is not started beside it
    assert.equal(failure.code, "unreachable");
    assert.match(String(failure.hint), /something else/);
    assert.doesNotMatch(JSON.stringify(failure) + failure.line, /HTTP|Bad Request/);
  }
});

test("a daemon that hangs up or is gone counts as none", async (t) => {
  const gone = await places(t);
  assert.equal((await failureOf(connect(gone, UID, "test"))).code, "not_running");
  const closes = await places(t);
  await listen(t, closes.socket, (socket) => socket.destroy());
  assert.equal((await failureOf(connect(closes, UID, "test"))).code, "not_running");
});

test("a socket that nobody listens on any more counts as none (L8)", async (t) => {
  const stale = await places(t);
  // a killed program leaves its socket behind
  const script = `require("net").createServer().listen(${JSON.stringify(stale.socket)},()=>process.kill(process.pid,"SIGKILL"))`;
  const { spawnSync } = await import("node:child_process");
  spawnSync(process.execPath, ["-e", script]);
  assert.ok(fs.lstatSync(stale.socket).isSocket());
  const failure = await failureOf(connect(stale, UID, "test"));
  assert.deepEqual([failure.code, failure.causes], ["not_running", ["connection refused"]]);
});

test("answers come in any order, events before them, and unknown events are skipped", async (t) => {
  const connection = await peer(t, (send, message) => {
    if (message.request?.id === 2) {
      send({ event: { id: 1, event: { run_started: { run: "r" } } } });
      send({ event: { id: 1, event: { brand_new: 7 } } });
      send({ answer: { id: 2, result: { Ok: { connections: [] } } } });
      send({ answer: { id: 1, result: { Ok: "done" } } });
    }
  });
  const events: string[] = [];
  const first = connection.request("subscribe", "done", { events: (event) => events.push(event.name) });
  assert.deepEqual((await connection.request("connections", "connections")).value, []);
  await first;
  assert.deepEqual(events, ["run_started"]);
});

test("an error of the daemon's, an answer of another kind and one that never comes are failures", async (t) => {
  const error = { code: "unknown_provider", message: "no provider", causes: ["c"], hint: "h" };
  const connection = await peer(t, (send, { request }) => {
    const result = [undefined, { Err: error }, { Ok: "done" }, undefined][request?.id ?? 0];
    if (result !== undefined) {
      send({ answer: { id: request?.id, result } });
    }
  });
  const sent = await failureOf(connection.request("status", "status"));
  assert.deepEqual([sent.code, sent.line, sent.hint], ["unknown_provider", "no provider: c", "h"]);
  assert.equal((await failureOf(connection.request("status", "status"))).code, "unexpected");
  assert.equal((await failureOf(connection.request("status", "status", { deadline: 20 }))).code, "timed_out");
});

test("no more than 64 requests are in flight, and the others follow", async (t) => {
  let inFlight = 0;
  let most = 0;
  const connection = await peer(t, (send, { request }) => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    setTimeout(() => {
      inFlight -= 1;
      send({ answer: { id: request?.id, result: { Ok: "done" } } });
    }, 5);
  });
  await Promise.all(Array.from({ length: 200 }, () => connection.request("status", "done" as never)));
  assert.equal(most, 64);
});

test("what makes no sense ends the connection, and everything in flight fails without its words", async (t) => {
  const connection = await peer(t, (_send, _message, socket) => {
    socket.write(frame(Buffer.from("canary{"), FRAME_MAX));
  });
  const failure = await failureOf(connection.request("status", "status"));
  assert.equal(failure.code, "connection_lost");
  assert.doesNotMatch(failure.line, /canary/);
  assert.equal(connection.isClosed, true);
  assert.equal((await failureOf(connection.request("status", "status"))).code, "connection_lost");
});

test("a cancel is sent for the request that is given up", async (t) => {
  const cancelled: unknown[] = [];
  const connection = await peer(t, (send, message) => {
    if (message.cancel !== undefined) {
      cancelled.push(message.cancel.id);
      send({ answer: { id: message.cancel.id, result: { Ok: "done" } } });
    }
  });
  const stop = new AbortController();
  const follow = connection.request("subscribe", "done", { events: () => undefined, signal: stop.signal });
  stop.abort();
  await follow;
  assert.deepEqual(cancelled, [1]);
});

test("a link comes back when the daemon does, and says when it is away", async (t) => {
  const at = await places(t);
  const states: LinkState["kind"][] = [];
  const environment = { AUTHSOME_HOME: at.home };
  const link = new Link({
    environment: () => environment,
    program: () => {
      throw new Error("nothing is started by watching");
    },
    build: "test",
    onState: ({ kind }) => states.push(kind),
  });
  t.after(() => link.dispose());
  const waitFor = async (kind: LinkState["kind"]) => {
    while (link.state.kind !== kind) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  link.watch();
  await waitFor("absent");
  for (let round = 0; round < 2; round += 1) {
    fs.rmSync(at.socket, { force: true });
    const sockets: net.Socket[] = [];
    const server = await listen(t, at.socket, (socket) => {
      sockets.push(socket);
      socket.once("data", () => socket.write(hello(1, 1, 2, "9.9")));
    });
    await waitFor("connected");
    server.close();
    sockets.forEach((socket) => socket.destroy());
    await waitFor("absent");
  }
});

test("a daemon that did not start is quoted: what, why, the way out", async () => {
  const failure = notStarted("error: the configuration cannot be used\n  caused by: line 3\nhint: mend it\n");
  assert.equal(failure.line, "the daemon did not start: the configuration cannot be used: line 3");
  assert.equal(failure.hint, "mend it");
  assert.match((await failureOf(startDaemon("/nonexistent/authsomed", {}))).line, /no such program/);
  assert.match((await failureOf(startDaemon("/bin/true", {}))).line, /said nothing/);
});

// ---

function golden(name: string): unknown {
  return JSON.parse(fs.readFileSync(path.join(GOLDEN, `${name}.json`), "utf8"));
}

/** Names of fields, and of variants, without values. */
function shape(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return null;
  }
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shape(inner)]));
}
