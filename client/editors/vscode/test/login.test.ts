/**
 * Logins that no server here can play: the daemon is the test's, word by word as in docs/protocol.md; the editor is the
 * fake one.
 */

import "./fake/register";

import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { beforeEach, test } from "node:test";

import { EditorPerson } from "../src/editor/person";
import { logIn } from "../src/logic/login";
import type { LoggedIn, Request, Step } from "../src/protocol/messages";
import { Uri, editor } from "./fake/vscode";
import { type Message, failureOf, peer, scratch } from "./peer";
import { until } from "./world";

const BEGIN: Request = {
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
};

const DONE: LoggedIn = {
  provider: "p",
  display_name: "P",
  connection: "default",
  is_default: true,
  replaced: false,
  variables: [],
  store: "file",
  expires_at: null,
  renews: false,
};

const FORM: Step = { form: { url: "http://127.0.0.1:7998/login/x", moved_from: null, asks: "api_key" } };
const AUTHORIZE: Step = {
  authorize: {
    url: "https://auth.example.com/authorize?x",
    redirect_uri: "http://127.0.0.1:7998/callback/p",
    listens: true,
  },
};

beforeEach(() => {
  Object.assign(editor, { shown: [], opened: [], progress: [], boxes: [], answers: [], clipboard: "", onOpen: () => true });
});

/** A login against a daemon that does `act` with what is sent after the beginning. */
async function login(
  t: { after(act: () => void): void },
  step: Step,
  act: (does: Daemon, name: string, message: Message) => void,
) {
  const asked: string[] = [];
  const bodies: unknown[] = [];
  let waits = 0;
  const connection = await peer(t, (send, message) => {
    const { request } = message;
    if (request === undefined) {
      return;
    }
    const name = typeof request.request === "string" ? request.request : (Object.keys(request.request as object)[0] ?? "");
    asked.push(name);
    bodies.push(request.request);
    const ok = (id: number, value: unknown) => send({ answer: { id, result: { Ok: value } } });
    if (name === "login") {
      ok(request.id, { login_started: started(step) });
      return;
    }
    if (name === "login_cancel") {
      ok(request.id, "done");
      return;
    }
    if (name === "login_wait") {
      waits = request.id;
    }
    const does: Daemon = {
      stage: (stage) => send({ event: { id: waits, event: { login_progress: { login: "l", stage } } } }),
      ok: (value) => ok(request.id, value),
      done: () => ok(waits, { logged_in: DONE }),
      refuse: (code, text) => send({ answer: { id: request.id, result: { Err: { code, message: text, causes: [], hint: null } } } }),
    };
    act(does, name, message);
  });
  const stop = new AbortController();
  const person = new EditorPerson("P [x](command:y)", (text) => editor.progress.push(text));
  const done = logIn(connection, BEGIN, person, stop.signal);
  done.catch(() => undefined);
  return { done, asked, bodies, stop };
}

interface Daemon {
  stage(stage: unknown): void;
  ok(value: unknown): void;
  done(): void;
  refuse(code: string, text: string): void;
}

function started(step: Step) {
  return {
    login: "l",
    display_name: "P",
    connection: "default",
    step,
    hint: null,
    key_urls: [],
    seconds_left: 600,
  };
}

test("a device's code is shown large, copied, and its page opened; it stays in the progress", async (t) => {
  const device: Step = {
    device: { url: "https://p.example/device", url_with_code: "https://p.example/device?code=AB-CD", code: "AB-CD" },
  };
  let daemon: Daemon | undefined;
  editor.will("message", ({ text, actions }: { text: string; actions: string[] }) => {
    assert.equal(text, "AB-CD");
    return actions[0];
  });
  const { done } = await login(t, device, (does) => {
    daemon = does;
    does.stage({ step: device });
    does.stage({ waiting: { seconds_left: 540 } });
  });
  await until("the page", () => editor.opened[0] === "https://p.example/device?code=AB-CD");
  assert.equal(editor.clipboard, "AB-CD");
  await until("progress", () => editor.progress.at(-1) === "enter the code AB-CD at https://p.example/device; 9 min left");
  daemon?.done();
  assert.equal((await done).provider, "p");
  assert.equal(editor.opened.length, 1);
});

test("a step that follows in the browser is shown, and not opened again", async (t) => {
  let daemon: Daemon | undefined;
  const { done } = await login(t, FORM, (does) => {
    daemon = does;
    does.stage({ step: FORM });
  });
  await until("the page", () => editor.opened.length === 1);
  daemon?.stage({ step: AUTHORIZE });
  const box = await until("the field", () => editor.boxes[0]);
  daemon?.stage("exchanging");
  await until("progress", () => editor.progress.at(-1) === "asking the server for tokens");
  daemon?.stage("storing");
  daemon?.done();
  await done;
  assert.deepEqual(editor.opened, ["http://127.0.0.1:7998/login/x"]);
  assert.equal(box.disposed, true);
});

test("an address that is pasted is handed over, and the reason why not is said once (LG2)", async (t) => {
  let daemon: Daemon | undefined;
  const { done, bodies } = await login(t, AUTHORIZE, (does, name) => {
    daemon = does;
    if (name === "login_answer") {
      if (bodies.length === 3) {
        does.stage({ rejected: { reason: "that is no address" } });
        does.refuse("invalid_secret", "that is no address");
      } else {
        does.ok({ logged_in: DONE });
      }
    }
  });
  const box = await until("the field", () => editor.boxes[0]);
  box.enter("nonsense");
  await until("the reason", () => editor.said("that is no address"));
  // the daemon may repeat it as long as nothing else happens
  daemon?.stage({ rejected: { reason: "that is no address" } });
  daemon?.stage({ waiting: { seconds_left: 77 } });
  await until("progress", () => editor.progress.at(-1) === "waiting for the browser; 77 s left");
  box.enter("http://127.0.0.1:7998/callback/p?code=c&state=s");
  await done;
  assert.equal(box.value, "");
  assert.equal(editor.shown.filter((line) => line.includes("that is no address")).length, 1);
  assert.deepEqual(bodies.at(-1), {
    login_answer: { login: "l", answer: { redirect: "http://127.0.0.1:7998/callback/p?code=c&state=s" } },
  });
});

test("what is asked for after a wait is asked, and then it is waited anew", async (t) => {
  const { done, asked } = await login(t, "wait", (does, name) => {
    if (name === "login_wait" && asked.filter((one) => one === name).length === 1) {
      does.stage({ step: { enter: { asks: "api_key" } } });
    } else if (name === "login_answer") {
      does.ok({ login_started: started("wait") });
    } else {
      does.done();
    }
  });
  editor.will("input", () => "k");
  await done;
  assert.deepEqual(asked, ["login", "login_wait", "login_answer", "login_wait"]);
});

test("a service account's key file is read where the person says", async (t) => {
  const file = path.join(scratch(t), "key.json");
  fs.writeFileSync(file, '{"type":"service_account"}');
  editor.will("file", () => [Uri.file(file)]);
  const { done, bodies } = await login(t, { enter: { asks: "service_account" } }, (does) => does.ok({ logged_in: DONE }));
  await done;
  assert.deepEqual(bodies.at(-1), { login_answer: { login: "l", answer: { secret: '{"type":"service_account"}' } } });
});

test("a client without a secret is sent without one", async (t) => {
  const asks = { client: { redirect_uri: null, id: null, secret_needed: false } };
  editor.will("input", () => "id");
  editor.will("input", () => "");
  const { done, bodies } = await login(t, { enter: { asks } }, (does) => does.ok({ logged_in: DONE }));
  await done;
  assert.deepEqual(bodies.at(-1), { login_answer: { login: "l", answer: { client: { id: "id", secret: null } } } });
});

test("a page is opened at its very address, encoded parts and all", async (t) => {
  const url = "https://auth.example.com/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%2F%3Fa%3D1%26b&state=x%2By%23";
  const { done, stop } = await login(t, { authorize: { url, redirect_uri: "x", listens: true } }, () => undefined);
  await until("the page", () => editor.opened.length > 0);
  assert.deepEqual(editor.opened, [url]);
  stop.abort();
  await failureOf(done);
});

test("an address that is not of the web ends the login and is not opened", async (t) => {
  const bad: Step = { authorize: { url: "command:workbench.action.terminal.new", redirect_uri: "x", listens: true } };
  const { done, asked } = await login(t, bad, () => undefined);
  assert.equal((await failureOf(done)).code, "bad_answer");
  assert.deepEqual(editor.opened, []);
  assert.equal(asked.at(-1), "login_cancel");
});

test("a login that is given up is given up at the daemon, whatever was under way (LG1)", async (t) => {
  for (const step of [FORM, AUTHORIZE, "wait", { enter: { asks: "api_key" } }] as const) {
    const { done, asked, stop } = await login(t, step, () => undefined);
    editor.will("input", () => new Promise(() => undefined));
    await until("the step", () => asked.length >= (typeof step === "object" && "enter" in step ? 1 : 2));
    setTimeout(() => stop.abort(), 10);
    assert.equal((await failureOf(done)).code, "given_up");
    assert.equal(asked.at(-1), "login_cancel");
  }
});

test("texts of a server make no links in what is shown (L13)", async (t) => {
  let daemon: Daemon | undefined;
  const { done } = await login(t, "wait", (does) => {
    daemon = does;
    does.stage({ rejected: { reason: "[log in](command:evil) $(trash)" } });
  });
  await until("the reason", () => editor.said("log in"));
  daemon?.done();
  await done;
  for (const line of editor.shown) {
    assert.doesNotMatch(line, /\]\(|\$\(/);
  }
});
