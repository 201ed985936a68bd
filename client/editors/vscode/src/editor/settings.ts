/**
 * Settings, and what may be run.
 *
 * Both settings have the scope `machine`: a workspace cannot set them. Where a host knows no scopes it is the same, for
 * only the person's own value is read here, never the one in effect.
 */

import * as os from "node:os";
import * as vscode from "vscode";

import * as programs from "../logic/programs";
import { Failure } from "../protocol/failure";
import type { Environment } from "../protocol/places";

/** What the daemon is found by and programs are started with. */
export function environment(): Environment {
  const home = own("home");
  return home === "" ? process.env : { ...process.env, AUTHSOME_HOME: home };
}

/** `authsome`. Fails in a workspace that is not trusted. */
export function client(): string {
  requireTrust();
  return programs.client(own("path"), process.env);
}

/** `authsomed`. Fails in a workspace that is not trusted. */
export function daemon(): string {
  requireTrust();
  return programs.daemon(own("path"), process.env);
}

/** The person's shell. */
export function shell(): string {
  return programs.shell(process.env, os.userInfo().shell);
}

function requireTrust(): void {
  if (!vscode.workspace.isTrusted) {
    throw Failure.local(
      "not_trusted",
      "nothing is run in a workspace that is not trusted",
      [],
      "trust it, or use a terminal of your own",
    );
  }
}

function own(name: "home" | "path"): string {
  const value = vscode.workspace.getConfiguration("authsome").inspect<unknown>(name)?.globalValue;
  return typeof value === "string" ? value : "";
}
