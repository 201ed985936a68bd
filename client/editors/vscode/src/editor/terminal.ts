/** Terminals under `authsome run`. */

import * as vscode from "vscode";

import { runWords } from "../logic/run";
import type { Connection } from "../protocol/messages";
import * as settings from "./settings";

const PROFILE = "authsome.run";

/** Opens a terminal with the person's shell in it; with a connection, that one is used in place of the default. */
export function openTerminal(connection?: Connection): vscode.Terminal {
  const terminal = vscode.window.createTerminal(terminalOptions(connection));
  terminal.show();
  return terminal;
}

/** The profile in the list of terminals. */
export function terminalProfile(): vscode.Disposable {
  return vscode.window.registerTerminalProfileProvider(PROFILE, {
    provideTerminalProfile: () => new vscode.TerminalProfile(terminalOptions()),
  });
}

function terminalOptions(connection?: Connection): vscode.TerminalOptions {
  const options = connection === undefined ? {} : { connection: `${connection.provider}=${connection.connection}` };
  const name = connection === undefined ? "authsome" : `authsome: ${connection.provider}/${connection.connection}`;
  return {
    name,
    iconPath: new vscode.ThemeIcon("key"),
    shellPath: settings.client(),
    shellArgs: [...runWords(options), settings.shell()],
    // said even where it is not set: a workspace may set variables of terminals
    env: { AUTHSOME_HOME: settings.environment().AUTHSOME_HOME ?? null },
  };
}
