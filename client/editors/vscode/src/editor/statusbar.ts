/** The item in the status bar. A click opens the menu. */

import * as vscode from "vscode";

import { type Bar, barAbsent, barConnected } from "../logic/describe";
import { plain } from "../logic/text";
import type { Model } from "./model";

const CONNECTING: Bar = { icon: "key", text: "authsome", tooltip: "authsome: connecting", alarm: "none" };

export function statusBar(model: Model): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("authsome.status", vscode.StatusBarAlignment.Left, 0);
  item.name = "authsome";
  item.command = "authsome.menu";
  const show = (): void => {
    const bar = barOf(model);
    item.text = `$(${bar.icon}) ${plain(bar.text)}`;
    // a string, not markdown: it is shown as it is
    item.tooltip = bar.tooltip;
    item.backgroundColor =
      bar.alarm === "none" ? undefined : new vscode.ThemeColor(`statusBarItem.${bar.alarm}Background`);
    item.accessibilityInformation = { label: bar.tooltip.split("\n", 1)[0] ?? bar.text, role: "button" };
  };
  show();
  item.show();
  return vscode.Disposable.from(item, model.onChange(show));
}

function barOf(model: Model): Bar {
  switch (model.state.kind) {
    case "connected":
      return barConnected(model.connections, model.status);
    case "absent":
      return barAbsent(model.state.why);
    case "connecting":
      return CONNECTING;
  }
}
