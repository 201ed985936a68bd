/**
 * The whole extension in a fake editor, against the real daemon, the real client and the harness' stand-in server.
 * The tests build on each other: they are one session of one person.
 */

import "./fake/register";

import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";

import { startDaemon } from "../src/protocol/start";
import { FakeTerminal, ProcessExecution, Task, Uri, editor, workspace } from "./fake/vscode";
import { PROGRAMS, type World, browse, fillIn, until, world } from "./world";

const PLACEHOLDER = "authsome-proxy-managed";

let here: World;
const subscriptions: { dispose(): unknown }[] = [];

before(async () => {
  here = await world();
  workspace.workspaceFolders = [{ uri: Uri.file(path.join(here.root, "w")) }];
  const { activate } = await import("../src/extension");
  activate({ subscriptions, extension: { packageJSON: { version: "0.1.0" } } } as never);
});

after(() => {
  for (const one of subscriptions.reverse()) {
    one.dispose();
  }
  here.end();
});

const bar = () => editor.bars[0] ?? assert.fail("there is no status bar item");
const command = (name: string, ...words: unknown[]) =>
  (editor.commands.get(`authsome.${name}`) ?? assert.fail(`no command ${name}`))(...words) as Promise<void>;
const view = () => editor.views.get("authsome.connections") ?? assert.fail("there is no view");
const lines = () =>
  view()
    .getChildren()
    .map((node) => view().getTreeItem(node))
    .map((item) => `${item.label}: ${item.description}`);
const node = (name: string) =>
  view()
    .getChildren()
    .find((one) => view().getTreeItem(one).id === name) ?? assert.fail(`no line ${name}`);
const log = () => editor.channels.get("authsome audit log") ?? assert.fail("there is no log");

test("an editor that opens starts nothing, and says that there is no daemon", async () => {
  await until("the news", () => bar().tooltip.includes("no daemon"));
  assert.equal(bar().text, "$(circle-slash) authsome");
  assert.equal(fs.existsSync(path.join(here.home, "daemon.lock")), false);
  assert.equal(editor.contexts["authsome.state"], "absent");
});

test("in a workspace that is not trusted nothing is run", async () => {
  editor.trusted = false;
  await command("start");
  await command("openTerminal");
  await command("logIn");
  assert.equal(editor.taskProviders.get("authsome")?.resolveTask(task({ command: "true" })), undefined);
  assert.throws(() => editor.terminalProfiles.get("authsome.run")?.provideTerminalProfile(), /not trusted/);
  assert.equal(editor.shown.filter((line) => line.includes("not trusted")).length, 4);
  assert.equal(editor.terminals.length, 0);
  assert.equal(fs.existsSync(path.join(here.home, "daemon.lock")), false);
  editor.trusted = true;
});

test("what a workspace sets is not used, even where a host knows no scopes", async () => {
  const trap = path.join(here.root, "w/authsome");
  const sprung = path.join(here.root, "w/sprung");
  fs.writeFileSync(trap, `#!/bin/sh\ntouch ${sprung}\n`, { mode: 0o755 });
  fs.copyFileSync(trap, `${trap}d`);
  editor.workspaceSettings = { "authsome.path": trap, "authsome.home": path.join(here.root, "w") };
  await command("start");
  await until("the daemon", () => bar().text === "$(key) authsome");
  assert.equal(fs.existsSync(sprung), false);
  assert.match(fs.readFileSync(path.join(here.home, "daemon.lock"), "utf8"), /^pid \d+\n/);
  const options = editor.terminalProfiles.get("authsome.run")?.provideTerminalProfile().options;
  assert.equal(options?.shellPath, path.join(PROGRAMS, "authsome"));
  assert.equal(options?.env.AUTHSOME_HOME, here.home);
  assert.deepEqual(options?.shellArgs, ["run", "--", "/bin/sh"]);
  // another client that starts one at the same time is told so, and there is still one
  const lock = fs.readFileSync(path.join(here.home, "daemon.lock"), "utf8");
  await startDaemon(path.join(PROGRAMS, "authsomed"), process.env);
  assert.equal(fs.readFileSync(path.join(here.home, "daemon.lock"), "utf8"), lock);
  editor.workspaceSettings = {};
});

test("a login by the form: the browser opens, progress is told, the key does not pass through the editor", async () => {
  await command("showLog");
  let page: Promise<unknown> | undefined;
  editor.onOpen = (url) => {
    page = fillIn(url, { secret: here.key, key: here.key });
    return true;
  };
  editor.willPick("Intercom");
  editor.willPick("In the browser");
  // the provider has regions
  editor.willPick("All regions");
  await command("logIn");
  await page;
  assert.match(editor.opened[0] ?? "", /^http:\/\/127\.0\.0\.1:\d+\/login\//);
  assert.ok(editor.progress.some((text) => /^waiting for the page in the browser; \d+ min left$/.test(text)), `${editor.progress}`);
  assert.ok(editor.said("info: connected: Intercom (default); stored in encrypted files; programs see INTERCOM_API_KEY"));
  await until("the list", () => lines().includes("Intercom: default *"));
  assert.match(here.authsome("list"), /intercom/);
});

test("a login by entering: a key that is not taken is asked for again, with the reason", async () => {
  editor.willPick("Intercom");
  editor.willPick("Another connection");
  editor.will("input", (options: { validateInput(text: string): unknown }) => {
    assert.ok(options.validateInput("-x"));
    assert.ok(options.validateInput("default"));
    assert.equal(options.validateInput("team"), undefined);
    return "team";
  });
  editor.willPick("Enter it here");
  editor.willPick("All regions");
  const asked: { password: boolean; prompt: string }[] = [];
  const answer = (text: string) =>
    editor.will("input", (options: { password: boolean; prompt: string }) => {
      asked.push({ ...options });
      return text;
    });
  answer("two\nlines");
  answer(`${here.key}t`);
  const opened = editor.opened.length;
  await command("logIn");
  assert.equal(asked.length, 2, JSON.stringify(editor.shown.slice(-6)));
  assert.ok(asked.every(({ password }) => password));
  assert.notEqual(asked[1]?.prompt, asked[0]?.prompt);
  assert.equal(editor.opened.length, opened, "no browser was asked for");
  await until("the list", () => lines().includes("Intercom: team"));
});

test("the default is set from the view, also for programs outside of the editor", async () => {
  await command("setDefault", node("intercom/team"));
  await until("the list", () => lines().includes("Intercom: team *"));
  here.authsome("connections", "set-default", "intercom", "default");
  await until("the event", () => lines().includes("Intercom: default *"));
  // commands of the view take lines of the view only
  await command("setDefault", { connection: { provider: "intercom", connection: "team" } });
  await command("refresh");
  assert.ok(lines().includes("Intercom: default *"));
});

test("a terminal under run: the program sees the placeholder, the server gets the key, the log tells", async () => {
  await command("openTerminal");
  const terminal = editor.terminals.at(-1) ?? assert.fail();
  terminal.type('echo "held: $INTERCOM_API_KEY in $AUTHSOME_RUN"; curl -sS https://api.intercom.io/me');
  await until("the answer", () => terminal.output.includes('"type":"admin"'));
  assert.match(terminal.output, new RegExp(`^held: ${PLACEHOLDER} in \\w+$`, "m"));
  assert.ok(!terminal.output.includes(here.key));
  assert.match(here.arrived(), new RegExp(`authorization: Bearer ${here.key}\n`));
  await until("the log", () => log().find((line) => / inject +intercom \(default\) {2}GET api\.intercom\.io\/me {2}by sh /.test(line)));
  await until("the run in the status bar", () => bar().tooltip.includes("2 connections, 1 run"));
  await terminal.close();
  await until("the end of the run", () => bar().tooltip.includes("2 connections, 0 runs"));
});

test("a terminal with a connection that is not the default gets that one's key", async () => {
  await command("openTerminalWith", node("intercom/team"));
  const terminal = editor.terminals.at(-1) ?? assert.fail();
  terminal.type("curl -sS https://api.intercom.io/me; echo; echo over");
  await until("the answer", () => terminal.output.includes("over"));
  assert.match(here.arrived(), new RegExp(`authorization: Bearer ${here.key}t\n`));
  await terminal.close();
  await command("copyRunCommand", node("intercom/team"));
  assert.equal(editor.clipboard, "authsome run --connection intercom=team -- ");
});

test("a task runs its command under run, with its options and without a shell of the editor", async () => {
  const words = ["-c", 'echo "$1 $INTERCOM_API_KEY"; curl -s -o /dev/null -w "%{http_code}" https://api.intercom.io/me', "sh", "a; b $(c)"];
  const resolved = editor.taskProviders
    .get("authsome")
    ?.resolveTask(task({ command: "sh", args: words, connection: "intercom=team", only: ["intercom"], unmatched: "deny" }));
  const terminal = await execute(resolved);
  assert.equal(terminal.output, `a; b $(c) ${PLACEHOLDER}\n401`);
  // without a connection the default one; the stand-in takes its key only
  const plain = editor.taskProviders.get("authsome")?.resolveTask(
    task({ command: "curl -s -o /dev/null -w '%{http_code}' https://api.intercom.io/me", unmatched: "deny" }),
  );
  assert.equal((await execute(plain)).output, "200");
  assert.equal(editor.taskProviders.get("authsome")?.resolveTask(task({ command: "x", connection: "--json" })), undefined);
  assert.ok(editor.said("error: `connection` is PROVIDER=NAME"));
});

test("a request is explained as a run of the workspace would send it", async () => {
  fs.writeFileSync(path.join(here.root, "w/authsome.toml"), '[connections.intercom]\ndeny = ["DELETE"]\n', { mode: 0o644 });
  editor.will("input", () => "DELETE https://api.intercom.io/contacts/1");
  await command("explain");
  const text = editor.documents.at(-1) ?? "";
  assert.match(text, /^request {5}DELETE https:\/\/api\.intercom\.io\/contacts\/1\noutcome {5}refuse \(denied_by_rule\)/);
  assert.match(text, /authsome\.toml/);
  editor.will("input", () => "GET https://api.intercom.io/me");
  await command("explain");
  assert.match(editor.documents.at(-1) ?? "", /outcome {5}inject\n/);
});

test("an OAuth login: its client is entered, a pasted address is judged, and a cancel gives it up", async () => {
  editor.willPick("github");
  editor.willPick("Enter it here");
  editor.will("message", ({ detail, actions }: { detail: string; actions: string[] }) => {
    assert.match(detail, /\/callback\/github\n\nis the redirect URI/);
    return actions[0];
  });
  const hidden: boolean[] = [];
  for (const text of ["Iv1.0123456789abcdef", "shh-0123456789abcdef0123456789abcdef01234567"]) {
    editor.will("input", (options: { password: boolean }) => {
      hidden.push(options.password);
      return text;
    });
  }
  editor.onOpen = () => true;
  const begun = command("logIn");
  const box = await until("the field for an address", () => editor.boxes.find(({ visible }) => visible));
  assert.deepEqual(hidden, [false, true]);
  assert.match(editor.clipboard, /^http:\/\/127\.0\.0\.1:\d+\/callback\/github$/);
  assert.match(editor.opened.at(-1) ?? "", /^https:\/\/github\.com\/login\/oauth\/authorize\?/);
  assert.equal(box.password, true);
  const warnings = () => editor.shown.filter((line) => line.startsWith("warning: GitHub"));
  box.enter(`${editor.clipboard}?code=c&state=forged`);
  await until("the reason", () => warnings().length > 0);
  // the daemon tells the time left once a second, and may repeat the reason with it
  const told = editor.progress.length;
  await until("progress", () => editor.progress.length > told + 1);
  assert.equal(warnings().length, 1, `${warnings()}`);
  editor.cancelled?.cancel();
  await begun;
  assert.equal(box.disposed, true);
  assert.equal(editor.shown.at(-1)?.startsWith("error:"), false, editor.shown.at(-1));
  // nothing waits at the daemon any more: its port is closed
  await assert.rejects(browse(editor.clipboard));
});

test("a login by cookies asks for each, and leaves out those that may be empty", async () => {
  editor.willPick("x-browser");
  editor.willPick("Enter it here");
  const asked: string[] = [];
  for (let index = 0; index < 8; index += 1) {
    editor.will("input", ({ title }: { title: string }) => {
      asked.push(title);
      return title.includes("may be empty") ? "" : `cookie-${index}-0123456789abcdef`;
    });
  }
  await command("logIn");
  editor.answers.splice(0);
  assert.ok(asked.length > 0 && asked.every((title) => title.includes("Cookie ")), `${asked}`);
  await until("the list", () => lines().some((line) => /^X .*: ends in 2[34] h · default \*$/.test(line)));
});

test("a credential that is there after all is replaced only when the person says so", async () => {
  editor.willPick("Intercom");
  editor.willPick("Another connection");
  editor.will("input", () => {
    // somebody is faster, on a terminal
    here.enter(`${here.key}l`, "login", "intercom", "--stdin", "--connection", "late");
    return "late";
  });
  editor.willPick("Enter it here");
  editor.willPick("All regions");
  editor.will("message", ({ text, actions }: { text: string; actions: string[] }) => {
    assert.match(text, /^Replace the credential of Intercom\?$/);
    assert.deepEqual(actions, ["Replace"]);
    return undefined;
  });
  editor.will("input", () => "never asked for");
  await command("logIn");
  assert.equal(editor.answers.splice(0).length, 1, "the key is not asked for");
  assert.ok(editor.said("Replace the credential of Intercom?"));
  here.authsome("logout", "intercom", "--connection", "late");
  await until("the list", () => lines().length === 3);
});

test("a login that is closed in the field is given up", async () => {
  editor.willPick("Replace default");
  editor.answers.unshift({ kind: "quickPick", ask: pick("Intercom") });
  editor.willPick("Enter it here");
  editor.will("input", () => undefined);
  const before = editor.shown.length;
  await command("logIn");
  assert.equal(editor.shown.slice(before).some((line) => line.startsWith("error")), false);
  assert.ok(lines().includes("Intercom: default *"));
});

test("a daemon that is restarted is found again, with list, status and log", async () => {
  const known = log().length;
  const pid = () => fs.readFileSync(path.join(here.home, "daemon.lock"), "utf8").split("\n")[0];
  const first = pid();
  here.authsome("daemon", "restart");
  assert.notEqual(pid(), first);
  await until("the list", () => bar().text === "$(key) authsome" && lines().includes("Intercom: default *"));
  const terminal = await execute(
    editor.taskProviders.get("authsome")?.resolveTask(task({ command: "curl -sS https://api.intercom.io/again" })),
  );
  assert.match(terminal.output, /not_found/);
  await until("the log", () => log().find((line) => line.includes("GET api.intercom.io/again")));
  const injections = log().filter((line) => line.includes("/me  by sh"));
  assert.equal(new Set(log()).size >= known, true);
  assert.equal(injections.length, new Set(injections).size, "no line is shown twice");
});

test("a daemon that stops is not started by the editor, and is by what a person asks for", async () => {
  here.authsome("daemon", "stop");
  await until("the news", () => bar().text === "$(circle-slash) authsome");
  assert.deepEqual(lines(), []);
  const tries = editor.contextsSet;
  await until("three tries more", () => editor.contextsSet > tries + 2);
  assert.equal(bar().text, "$(circle-slash) authsome");
  assert.equal(fs.readFileSync(path.join(here.home, "daemon.lock"), "utf8"), "");
  editor.willPick("Start the Daemon");
  await command("menu");
  await until("the daemon", () => bar().text === "$(key) authsome" && lines().includes("Intercom: team"));
});

test("logging out asks first", async () => {
  await command("logOut", node("intercom/team"));
  assert.match(here.authsome("connections"), /intercom +team/);
  editor.will("message", ({ actions }: { actions: string[] }) => actions[0]);
  await command("logOut", node("intercom/team"));
  await until("the list", () => !lines().includes("Intercom: team"));
  assert.ok(editor.said("info: logged out of Intercom (team)"));
});

test("a daemon that cannot start is quoted, and a command in its hint can be copied", async () => {
  here.authsome("daemon", "stop");
  await until("the news", () => bar().text === "$(circle-slash) authsome");
  const file = path.join(here.home, "config.toml");
  const good = fs.readFileSync(file, "utf8");
  fs.writeFileSync(file, `${good}\n[vault]]\n`);
  await command("start");
  assert.match(editor.shown.at(-1) ?? "", /^error: the daemon did not start: .*config\.toml/);
  fs.writeFileSync(file, good);
});

test("another home is another daemon, as soon as it is set", async () => {
  const home = path.join(here.root, "b");
  fs.mkdirSync(home, { mode: 0o700 });
  fs.copyFileSync(path.join(here.home, "config.toml"), path.join(home, "config.toml"));
  editor.settings = { "authsome.home": home, "authsome.path": path.join(PROGRAMS, "authsome") };
  editor.configured.emit("change", { affectsConfiguration: () => true });
  await command("start");
  await until("the daemon", () => bar().tooltip.includes("0 connections"));
  assert.deepEqual(lines(), []);
  assert.ok(fs.existsSync(path.join(home, "daemon.lock")));
  process.env.AUTHSOME_HOME = home;
  const { spawnSync } = await import("node:child_process");
  spawnSync(path.join(PROGRAMS, "authsome"), ["daemon", "stop"], { env: process.env });
  await until("the news", () => bar().text === "$(circle-slash) authsome");
});

test("the key is nowhere but in the vault, the stand-in and what it was typed into", () => {
  assert.deepEqual(here.leaks(), []);
  const everything = JSON.stringify([editor.shown, editor.progress, editor.opened, log(), editor.documents, editor.clipboard]);
  assert.ok(!everything.includes(here.key));
  assert.ok(!everything.includes("shh-0123456789"));
  assert.ok(editor.terminals.every(({ output }) => !output.includes(here.key)));
});

function pick(text: string) {
  return (items: readonly { label: string }[]) => items.find((one) => one.label === text);
}

function task(options: Record<string, unknown>): Task {
  return new Task({ type: "authsome", ...options }, undefined, "a task", "Workspace");
}

async function execute(task: Task | undefined): Promise<FakeTerminal> {
  const execution = task?.execution;
  assert.ok(execution instanceof ProcessExecution);
  const terminal = new FakeTerminal({
    name: task?.name ?? "",
    shellPath: execution.process,
    shellArgs: execution.args,
    env: execution.options.env ?? {},
  });
  editor.terminals.push(terminal);
  await terminal.close();
  return terminal;
}

