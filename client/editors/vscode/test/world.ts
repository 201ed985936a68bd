/**
 * A throw-away world: a home, a runtime folder, the real programs, and the harness' stand-in for `api.intercom.io`.
 *
 * `AUTHSOME_TEST_PROGRAMS` is the folder of the programs, else the repository's `target/debug`.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as path from "node:path";

/** The repository, where the tests run in it; the compiled test is five folders down. */
const REPOSITORY = path.resolve(__dirname, "../../../../..");
export const PROGRAMS = process.env.AUTHSOME_TEST_PROGRAMS ?? path.join(REPOSITORY, "target/debug");
export const GOLDEN = process.env.AUTHSOME_TEST_GOLDEN ?? path.join(REPOSITORY, "proto/golden/v1");

/** Guards against hanging; nothing here takes seconds. */
const PATIENCE_MS = 20_000;

export interface World {
  readonly root: string;
  readonly home: string;
  readonly key: string;
  /** What has arrived at the stand-in, as text. */
  arrived(): string;
  /** `authsome` with the words of a command; its standard output. */
  authsome(...words: string[]): string;
  /** The same, with a line of input. */
  enter(line: string, ...words: string[]): string;
  /** Files of the home, but for the vault, that hold the key. */
  leaks(): string[];
  end(): void;
}

/** Makes a world, and makes it this process' environment. */
export async function world(): Promise<World> {
  for (const name of ["authsome", "authsomed", "authsome-standin"]) {
    if (!fs.existsSync(path.join(PROGRAMS, name))) {
      throw new Error(`\`${name}\` is not in ${PROGRAMS}: run \`cargo build --workspace --bins\``);
    }
  }
  const root = fs.mkdtempSync("/tmp/as-");
  const at = (name: string): string => path.join(root, name);
  for (const name of ["a", "r", "h", "w"]) {
    fs.mkdirSync(at(name), { mode: 0o700 });
  }
  const key = `dG9rOm${randomBytes(18).toString("hex")}`;
  const standIn = await startStandIn(root, key);
  fs.writeFileSync(
    at("a/config.toml"),
    [
      "[vault]",
      'store = "file"',
      "[login]",
      `port = ${await freePort()}`,
      "[upstream]",
      `extra_ca = ["${standIn.ca}"]`,
      "[upstream.resolve]",
      `"api.intercom.io:443" = "${standIn.address}"`,
      "",
    ].join("\n"),
  );
  const environment: Record<string, string> = {
    PATH: `${PROGRAMS}:${process.env.PATH ?? "/usr/bin:/bin"}`,
    HOME: at("h"),
    LANG: "C.UTF-8",
    SHELL: "/bin/sh",
    XDG_RUNTIME_DIR: at("r"),
    AUTHSOME_HOME: at("a"),
  };
  for (const name of Object.keys(process.env)) {
    delete process.env[name];
  }
  Object.assign(process.env, environment);
  const enter = (line: string, ...words: string[]): string => {
    const input = `${line}\n`;
    const done = spawnSync(path.join(PROGRAMS, "authsome"), words, { encoding: "utf8", env: environment, input });
    if (done.status !== 0) {
      throw new Error(`authsome ${words.join(" ")}: ${done.status}\n${done.stdout}${done.stderr}`);
    }
    return done.stdout;
  };
  return {
    root,
    home: at("a"),
    key,
    arrived: () => standIn.said(),
    authsome: (...words) => enter("", ...words),
    enter,
    leaks: () => holding(root, key, [at("a/vault"), at("w")]),
    end: () => {
      if (fs.existsSync(at("a/daemon.lock"))) {
        spawnSync(path.join(PROGRAMS, "authsome"), ["daemon", "stop"], { env: environment });
      }
      standIn.child.kill();
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Waits until `look` gives something. */
export async function until<T>(what: string, look: () => T | undefined | false | null): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false && found !== null) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`waited in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What a page said. */
export interface Page {
  readonly status: number;
  readonly body: string;
  readonly location: string | undefined;
}

/** A browser in miniature: asks as one does. */
export function browse(url: string, form?: Record<string, string>): Promise<Page> {
  const { host, origin } = new URL(url);
  const body = form === undefined ? "" : new URLSearchParams(form).toString();
  const headers: http.OutgoingHttpHeaders =
    form === undefined
      ? { host, "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }
      : {
          host,
          origin,
          "sec-fetch-site": "same-origin",
          "sec-fetch-mode": "navigate",
          "sec-fetch-dest": "document",
          "content-type": "application/x-www-form-urlencoded",
          "content-length": Buffer.byteLength(body),
        };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: form === undefined ? "GET" : "POST", headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString("utf8"),
          location: response.headers.location,
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Fills the form of a page in and sends it: `values` are what a person types. */
export async function fillIn(url: string, values: Record<string, string>): Promise<Page> {
  const page = await browse(url);
  const form = /<form[\s\S]*<\/form>/.exec(page.body)?.[0] ?? "";
  const fields: Record<string, string> = {};
  for (const [input] of form.matchAll(/<(?:input|textarea)[^>]*>/g)) {
    const attribute = (name: string): string | undefined => new RegExp(`${name}="([^"]*)"`).exec(input)?.[1];
    const name = attribute("name");
    if (name !== undefined) {
      fields[name] = values[name] ?? attribute("value") ?? "";
    }
  }
  const action = /action="([^"]*)"/.exec(form)?.[1] ?? url;
  return browse(new URL(action, url).href, fields);
}

async function startStandIn(
  root: string,
  key: string,
): Promise<{ child: ChildProcess; said: () => string; address: string; ca: string }> {
  const child = spawn(path.join(PROGRAMS, "authsome-standin"), ["--print", "--token", key], {
    env: { PATH: "/usr/bin:/bin", TMPDIR: root },
    // its input is ours: when we go, it goes
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  const found = await until("the stand-in", () => /^listening (\S+)\nca (\S+)\n/.exec(text));
  return { child, said: () => text, address: found[1] ?? "", ca: found[2] ?? "" };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function holding(folder: string, secret: string, exempt: readonly string[]): string[] {
  const forms = [secret, Buffer.from(secret).toString("base64").slice(0, -4), Buffer.from(secret).toString("hex")];
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (exempt.includes(file)) {
      return [];
    }
    if (entry.isDirectory()) {
      return holding(file, secret, exempt);
    }
    const text = entry.isFile() ? fs.readFileSync(file, "latin1") : "";
    return forms.some((form) => text.includes(form)) ? [file] : [];
  });
}
