/**
 * Starting the daemon where none listens (docs/protocol.md, "Starting the daemon").
 *
 * `authsomed --detach` returns at once; the daemon keeps the pipes that it got as standard output and error until
 * it has spoken. Any number of clients may do this at the same time.
 */

import { spawn } from "node:child_process";

import { Failure } from "./failure";
import type { Environment } from "./places";

/** How long the daemon may take to speak, in milliseconds. */
const SPEAK_MS = 10_000;

/** Most that is read of what it says. */
const WORDS_MAX = 16 * 1024;

/** Starts `program`; resolves when a daemon listens or is about to. Fails with what it said. */
export function startDaemon(program: string, environment: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    // a group of its own: what interrupts the editor does not reach it. The root folder: a daemon that
    // outlives the editor must not hold a workspace's file system
    const child = spawn(program, ["--detach"], {
      cwd: "/",
      detached: true,
      env: { ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let words = "";
    const done = (failure?: Failure): void => {
      clearTimeout(deadline);
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      if (failure === undefined) {
        resolve();
      } else {
        reject(failure);
      }
    };
    const deadline = setTimeout(() => {
      done(Failure.local("not_started", "the daemon did not start in time", [], "`authsome daemon logs` may say why"));
    }, SPEAK_MS);
    const hear = (chunk: Buffer): void => {
      words = (words + chunk.toString("utf8")).slice(0, WORDS_MAX);
      if (/^(ready|already-running)\n/m.test(words)) {
        done();
      }
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "ENOENT" ? "no such program" : error.message;
      done(Failure.local("not_started", `cannot execute \`${program}\``, [why]));
    });
    // both pipes at their end, whoever held them: nothing more will be said
    child.on("close", () => done(notStarted(words)));
  });
}

/** `error: …`, `  caused by: …`, `hint: …`, as the daemon wrote them. */
export function notStarted(words: string): Failure {
  const lines = words.split("\n").map((line) => line.trim());
  const after = (start: string): string[] =>
    lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
  const message = after("error: ")[0] ?? lines.find((line) => line !== "") ?? "it said nothing";
  return Failure.local(
    "not_started",
    "the daemon did not start",
    [message, ...after("caused by: ")],
    after("hint: ")[0] ?? null,
  );
}
