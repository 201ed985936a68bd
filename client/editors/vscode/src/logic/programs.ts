/**
 * Where the programs are: as the setting says, else on the `PATH`. Never in a workspace: entries of the `PATH` that
 * depend on the working folder are passed over.
 */

import * as fs from "node:fs";
import * as path from "node:path";

import { Failure } from "../protocol/failure";
import type { Environment } from "../protocol/places";

/** The client. `setting` is `authsome.path`; empty, it is looked for. */
export function client(setting: string, environment: Environment): string {
  if (setting === "") {
    const found = onPath("authsome", environment);
    if (found === undefined) {
      throw missing("cannot find `authsome`", "install it, or say where it is in the setting `authsome.path`");
    }
    return found;
  }
  if (!path.isAbsolute(setting)) {
    throw missing(`\`authsome.path\` is \`${setting}\``, "it must be an absolute path");
  }
  if (!isProgram(setting)) {
    throw missing(`\`${setting}\` is not a program`, "mend the setting `authsome.path`");
  }
  return setting;
}

/** The daemon: beside the client, else on the `PATH`. */
export function daemon(setting: string, environment: Environment): string {
  const beside = client(setting, environment);
  const folders = new Set([path.dirname(beside), path.dirname(fs.realpathSync(beside))]);
  const found = [...folders].map((folder) => path.join(folder, "authsomed")).find(isProgram);
  const program = found ?? onPath("authsomed", environment);
  if (program === undefined) {
    throw missing("cannot find `authsomed`", `put it beside \`${beside}\`, or in \`PATH\``);
  }
  return program;
}

/** The person's own shell. Not the editor's default terminal, which a workspace may choose. */
export function shell(environment: Environment, ofUser: string | null): string {
  for (const candidate of [environment.SHELL, ofUser]) {
    if (candidate !== undefined && candidate !== null && path.isAbsolute(candidate) && isProgram(candidate)) {
      return candidate;
    }
  }
  return "/bin/sh";
}

function onPath(name: string, environment: Environment): string | undefined {
  return (environment.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, name))
    .find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

function missing(message: string, hint: string): Failure {
  return Failure.local("no_program", message, [], hint);
}
