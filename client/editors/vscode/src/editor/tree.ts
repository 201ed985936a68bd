/** The view "Connections". */

import * as vscode from "vscode";

import { description, details, needsPerson } from "../logic/describe";
import { plain } from "../logic/text";
import type { Connection } from "../protocol/messages";
import type { Model } from "./model";

/** A line of the view. Commands of its menu take nothing else as an argument. */
export class Node {
  constructor(readonly connection: Connection) {}
}

export function connectionsView(model: Model): vscode.Disposable {
  const changed = new vscode.EventEmitter<void>();
  const provider: vscode.TreeDataProvider<Node> = {
    onDidChangeTreeData: changed.event,
    getChildren: (node) => (node === undefined ? model.connections.map((one) => new Node(one)) : []),
    getTreeItem: (node) => item(node),
  };
  const view = vscode.window.createTreeView("authsome.connections", { treeDataProvider: provider });
  const update = model.onChange(() => {
    // the empty view says what to do, by this
    void vscode.commands.executeCommand("setContext", "authsome.state", model.state.kind);
    changed.fire();
  });
  return vscode.Disposable.from(view, update, changed);
}

function item({ connection }: Node): vscode.TreeItem {
  const now = Date.now();
  const item = new vscode.TreeItem(plain(connection.display_name));
  item.id = `${connection.provider}/${connection.connection}`;
  item.description = description(connection, now);
  // a string, not markdown: it is shown as it is
  item.tooltip = details(connection, now);
  item.iconPath = icon(connection);
  item.contextValue = connection.is_default ? "connection.default" : "connection.other";
  item.accessibilityInformation = { label: `${plain(connection.display_name)}, ${item.description}` };
  return item;
}

function icon(connection: Connection): vscode.ThemeIcon {
  if (needsPerson(connection)) {
    return new vscode.ThemeIcon("error", new vscode.ThemeColor("list.errorForeground"));
  }
  return connection.state === "expiring"
    ? new vscode.ThemeIcon("clock", new vscode.ThemeColor("list.warningForeground"))
    : new vscode.ThemeIcon("key");
}
