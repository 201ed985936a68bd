/** What is decided without an editor and without a daemon. */

import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";

import { readable } from "../src/logic/audit";
import { barAbsent, barConnected, description, details, explanation } from "../src/logic/describe";
import * as programs from "../src/logic/programs";
import { findProject } from "../src/logic/project";
import { runLine, runWords, taskWords } from "../src/logic/run";
import { duration, plain, webAddress } from "../src/logic/text";
import { Failure } from "../src/protocol/failure";
import type { Connection } from "../src/protocol/messages";

const NOW = Date.parse("2026-11-21T18:00:00Z");
const ME = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

const CONNECTION: Connection = {
  provider: "intercom",
  display_name: "Intercom",
  connection: "team",
  is_default: true,
  auth: "api_key",
  state: "connected",
  created_at: "2026-11-21T17:00:00Z",
  rotated_at: null,
  last_used: null,
  expires_at: null,
  hosts: ["api.intercom.io"],
  unconfirmed_hosts: [],
  variables: ["INTERCOM_API_KEY"],
  slot: "Authorization: Bearer",
  region: null,
  renews: false,
  scopes: [],
  flow: null,
};

test("text of others makes no link, no icon and no line (L13)", () => {
  assert.equal(plain("[log in](command:workbench.action.terminal.new)"), "[log in] (command:workbench.action.terminal.new)");
  assert.equal(plain("$(trash) x"), "$ (trash) x");
  assert.equal(plain("a\nb\u001b[2J\u202ec"), "a b\uFFFD[2J\uFFFDc");
  assert.equal(plain("]\u200b(x"), "]\uFFFD(x");
  assert.equal(plain("x".repeat(700)).length, 600);
});

test("only pages of the web are opened", () => {
  for (const good of ["https://example.com/x?y", "http://127.0.0.1:7998/login/x", "http://localhost:1/", "http://[::1]:1/"]) {
    assert.ok(webAddress(good), good);
  }
  for (const bad of [
    "http://example.com/",
    "http://127.0.0.1.example.com/",
    "command:workbench.action.terminal.new",
    "vscode://x.y/z",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "",
  ]) {
    assert.equal(webAddress(bad), undefined, bad);
  }
});

test("a run's words are names, and nothing becomes an option", () => {
  assert.deepEqual(runWords({}), ["run", "--"]);
  assert.deepEqual(runWords({ connection: "intercom=team", only: ["intercom", "github"], unmatched: "deny" }), [
    "run",
    "--connection",
    "intercom=team",
    "--only",
    "intercom,github",
    "--unmatched",
    "deny",
    "--",
  ]);
  for (const bad of [
    { connection: "--for=1s" },
    { connection: "intercom" },
    { connection: "a=b=c" },
    { connection: ["intercom=-x"] },
    { connection: { provider: "intercom" } },
    { only: "--json" },
    { only: ["a b"] },
    { only: [1] },
    { unmatched: "pass" },
    { unmatched: ["deny"] },
  ]) {
    assert.throws(() => runWords(bad as never), Failure, JSON.stringify(bad));
  }
});

test("a task is a program with arguments, or a line for the shell", () => {
  assert.deepEqual(taskWords({ command: "echo $X" }), ["run", "--", "/bin/sh", "-c", "echo $X"]);
  assert.deepEqual(taskWords({ command: "npm", args: ["run", "$X"] }), ["run", "--", "npm", "run", "$X"]);
  assert.deepEqual(taskWords({ command: "--json", args: [] }), ["run", "--", "--json"]);
  for (const bad of [{}, { command: "" }, { command: 1 }, { command: "x", args: "y" }, { command: "x", args: [1] }]) {
    assert.throws(() => taskWords(bad as never), Failure, JSON.stringify(bad));
  }
});

test("the run command that is copied names a connection that is not the default", () => {
  assert.equal(runLine("intercom", "default", true), "authsome run -- ");
  assert.equal(runLine("intercom", "team", false), "authsome run --connection intercom=team -- ");
});

test("an audit line is one line for people, whatever it holds (L13)", () => {
  const line = JSON.stringify({
    time: "soon",
    event: "inject",
    run: "r1",
    program: "curl",
    provider: "intercom",
    connection: "default",
    method: "GET",
    host: "api.intercom.io",
    path: "/me",
    status: 200,
  });
  assert.equal(
    readable(line),
    "soon                 inject      intercom (default)  GET api.intercom.io/me  200  by curl in r1",
  );
  assert.equal(readable('{"event":"a\\u001b[2J\\n"}').trim(), "a\uFFFD[2J\uFFFD");
  assert.equal(readable("torn {\u001b"), "torn {\uFFFD");
  assert.match(readable('{"time":"2026-11-22T04:25:46.07Z","event":"login"}'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}login$/);
});

test("a connection says which it is, and what is wrong or when it ends", () => {
  const of = (more: Partial<Connection>) => description({ ...CONNECTION, ...more }, NOW);
  const soon = "2026-11-21T18:25:00Z";
  assert.equal(of({}), "team *");
  assert.equal(of({ is_default: false }), "team");
  assert.equal(of({ state: "needs_login" }), "needs login · team *");
  assert.equal(of({ state: "revoked" }), "revoked · team *");
  assert.equal(of({ state: "expiring", expires_at: soon }), "ends in 25 min · team *");
  assert.equal(of({ expires_at: soon }), "ends in 25 min · team *");
  assert.equal(of({ expires_at: soon, renews: true }), "team *");
  const all = details({ ...CONNECTION, expires_at: soon, renews: true, region: "eu" }, NOW);
  for (const part of ["Intercom (intercom)", "team, the default", "renews itself", "region: eu", "INTERCOM_API_KEY"]) {
    assert.ok(all.includes(part), part);
  }
});

test("the status bar says what a person must do", () => {
  const needy = { ...CONNECTION, state: "needs_login" } as const;
  assert.deepEqual([barConnected([CONNECTION], undefined).text, barConnected([CONNECTION], undefined).alarm], ["authsome", "none"]);
  assert.deepEqual(
    [barConnected([CONNECTION, needy], undefined).text, barConnected([needy], undefined).alarm],
    ["authsome: 1 needs login", "warning"],
  );
  const skew = Failure.local("version_skew", "this speaks 1", [], "`authsome daemon restart`");
  assert.equal(barAbsent(skew).alarm, "error");
  assert.match(barAbsent(skew).tooltip, /daemon restart/);
  assert.equal(barAbsent(Failure.local("not_running", "x")).icon, "circle-slash");
});

test("an explanation is a table of what had a say", () => {
  const text = explanation({
    request: "GET https://api.intercom.io/me",
    outcome: "refuse",
    code: "denied_by_rule",
    message: "a rule denies it",
    fix: "change it",
    provider: "intercom",
    connection: "team",
    slot: "Authorization: Bearer",
    routes: [
      { provider: "intercom", connection: "team", hosts: [], path: "/**", methods: "*", slot: "", verdict: "chosen", why: "it fits" },
    ],
    rules: [{ source: "/p/authsome.toml", rule: "deny GET", refuses: true }],
    notes: ["a\u001bnote"],
  });
  assert.match(text, /^request {5}GET https.*\noutcome {5}refuse \(denied_by_rule\)\n/);
  assert.match(text, /\nintercom {2}team {8}\/\*\* {4}\* {8}it fits\n/);
  assert.match(text, /\nrefuses {2}deny GET {2}\/p\/authsome.toml\n/);
  assert.match(text, /a\uFFFDnote/);
});

test("durations are in the unit that says enough", () => {
  assert.deepEqual([89, 90, 5399, 5400, 200_000].map(duration), ["89 s", "1 min", "89 min", "1 h", "2 d"]);
});

test("programs are found by the setting or the absolute entries of the PATH", (t) => {
  const root = folder(t);
  const make = (name: string): string => {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, "", { mode: 0o755 });
    return file;
  };
  const own = make("bin/authsome");
  const beside = make("bin/authsomed");
  const other = make("other/authsome");
  const cwd = process.cwd();
  t.after(() => process.chdir(cwd));
  process.chdir(root);
  // a workspace that brings a program of that name along
  assert.throws(() => programs.client("", { PATH: "bin:.:" }), /cannot find/);
  assert.equal(programs.client("", { PATH: `bin:${root}/bin` }), own);
  assert.throws(() => programs.client("bin/authsome", {}), Failure);
  assert.throws(() => programs.client("/nonexistent", {}), Failure);
  assert.throws(() => programs.client(root, {}), Failure);
  assert.equal(programs.daemon(own, {}), beside);
  assert.throws(() => programs.daemon(other, { PATH: "bin" }), /authsomed/);
  fs.symlinkSync(own, path.join(root, "link"));
  assert.equal(programs.daemon(path.join(root, "link"), {}), beside);
  assert.equal(programs.shell({ SHELL: "sh" }, null), "/bin/sh");
});

test("the project file is the nearest that only we can have written", (t) => {
  const root = folder(t);
  const at = (name: string): string => path.join(root, name);
  fs.mkdirSync(at("a/b"), { recursive: true });
  const found = (): string | undefined => findProject(at("a/b"), root, ME)?.path;
  assert.equal(found(), undefined);
  fs.writeFileSync(at("authsome.toml"), "[run]", { mode: 0o644 });
  assert.equal(found(), at("authsome.toml"));
  fs.writeFileSync(at("a/authsome.toml"), "[run]");
  fs.chmodSync(at("a/authsome.toml"), 0o666);
  assert.equal(found(), at("authsome.toml"));
  fs.chmodSync(at("a/authsome.toml"), 0o644);
  assert.equal(found(), at("a/authsome.toml"));
  fs.mkdirSync(at("a/b/authsome.toml"));
  assert.throws(found, (error: Failure) => error.line.endsWith("not a regular file"));
});

function folder(t: { after(act: () => void): void }): string {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "as-l-")));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  return root;
}
