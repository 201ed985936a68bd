/**
 * Wires the parts together. What is shown lives in `editor/`, what is decided in `logic/`, the daemon in `protocol/`.
 */

import * as vscode from "vscode";

import { runLine } from "./logic/run";
import { plain } from "./logic/text";
import { Explain } from "./editor/explain";
import { Log } from "./editor/log";
import { logInAgain, logInCommand } from "./editor/login";
import { Model, unlock } from "./editor/model";
import * as say from "./editor/say";
import { statusBar } from "./editor/statusbar";
import { taskProvider } from "./editor/tasks";
import { openTerminal, terminalProfile } from "./editor/terminal";
import { Node, connectionsView } from "./editor/tree";

export function activate(context: vscode.ExtensionContext): void {
  const manifest = context.extension.packageJSON as { readonly version: string };
  const model = new Model(manifest.version);
  const log = new Log(model);
  const explain = new Explain(model);

  const command = (name: string, act: () => Promise<unknown> | unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`authsome.${name}`, () => shown(act));
  // from the view's menu only: anything else that comes as an argument is not ours
  const onConnection = (name: string, act: (node: Node) => Promise<unknown> | unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`authsome.${name}`, (node: unknown) =>
      shown(() => (node instanceof Node ? act(node) : undefined)),
    );

  context.subscriptions.push(
    model,
    log,
    explain,
    statusBar(model),
    connectionsView(model),
    terminalProfile(),
    taskProvider(),
    command("menu", () => menu(model)),
    command("logIn", () => logInCommand(model)),
    command("openTerminal", () => openTerminal()),
    command("showLog", () => log.show()),
    command("explain", () => explain.ask()),
    command("start", () => model.need()),
    command("refresh", async () => {
      await model.need();
      await model.refresh();
    }),
    command("unlock", async () => unlock(await model.need(), false)),
    onConnection("logInAgain", ({ connection }) => logInAgain(model, connection)),
    onConnection("openTerminalWith", ({ connection }) => openTerminal(connection)),
    onConnection("logOut", (node) => logOut(model, node)),
    onConnection("setDefault", ({ connection: { provider, connection } }) =>
      model.request({ set_default: { provider, connection } }, "done"),
    ),
    onConnection("copyRunCommand", ({ connection: { provider, connection, is_default: isDefault } }) =>
      vscode.env.clipboard.writeText(runLine(provider, connection, isDefault)),
    ),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("authsome")) {
        log.reset();
        model.reset();
      }
    }),
  );
  model.watch();
}

/** Does it, and says what went wrong. */
async function shown(act: () => Promise<unknown> | unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    say.failure(error);
  }
}

async function logOut(model: Model, { connection }: Node): Promise<void> {
  const name = `${connection.display_name} (${connection.connection})`;
  const detail = "Its credential is deleted here. The provider is not asked to end it: `authsome revoke` does that.";
  if (await say.confirm(`Log out of ${name}?`, detail, "Log Out")) {
    const { provider } = connection;
    const forgotten = await model.request({ logout: { provider, connection: connection.connection } }, "forgotten");
    const next = forgotten.new_default;
    say.info(`logged out of ${name}${forgotten.default_changed && next !== null ? `; the default is ${next} now` : ""}`);
  }
}

async function menu(model: Model): Promise<void> {
  const { state } = model;
  type Choice = vscode.QuickPickItem & { readonly command?: string };
  const choices: Choice[] = [
    { label: "$(log-in) Log In…", command: "authsome.logIn" },
    { label: "$(terminal) Open Terminal under authsome", command: "authsome.openTerminal" },
    { label: "$(key) Show Connections", command: "authsome.connections.focus" },
    { label: "$(question) Explain Request…", command: "authsome.explain" },
    { label: "$(output) Show Audit Log", command: "authsome.showLog" },
  ];
  if (state.kind === "connected" && model.status?.vault.problem != null && model.status.vault.store === "file") {
    choices.unshift({ label: "$(unlock) Unlock the Vault…", command: "authsome.unlock" });
  }
  if (state.kind === "absent") {
    choices.unshift({ label: "$(play) Start the Daemon", detail: plain(state.why.line), command: "authsome.start" });
  }
  const chosen = await vscode.window.showQuickPick(choices, { title: "authsome" });
  if (chosen?.command !== undefined) {
    await vscode.commands.executeCommand(chosen.command);
  }
}
