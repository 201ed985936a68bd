/** What would become of a request, in a document that only shows text. */

import * as vscode from "vscode";

import { explanation } from "../logic/describe";
import { findProject } from "../logic/project";
import { ownUser } from "../protocol/places";
import type { Model } from "./model";

const SCHEME = "authsome-explain";

export class Explain implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly texts = new Map<string, string>();
  private readonly registered = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  private readonly closed = vscode.workspace.onDidCloseTextDocument((document) => {
    this.texts.delete(document.uri.toString());
  });
  private count = 0;

  constructor(private readonly model: Model) {}

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Asks for a request and explains it as one of a run that is started now in the first folder of the workspace. */
  async ask(): Promise<void> {
    const line = await vscode.window.showInputBox({
      title: "Explain a Request",
      prompt: "What would become of it in a run that is started now. Nothing is sent.",
      value: "GET https://",
      valueSelection: [12, 12],
      validateInput: (text) => (parse(text) === undefined ? "METHOD https://HOST/PATH" : undefined),
    });
    const request = parse(line ?? "");
    if (request === undefined) {
      return;
    }
    const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri.fsPath;
    const me = { uid: ownUser(), gid: process.getegid?.() ?? -1 };
    const project = folder === undefined ? null : findProject(folder, process.env.HOME, me);
    const explained = await this.model.request(
      { explain: { ...request, run: null, connections: [], project } },
      "explained",
    );
    this.count += 1;
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/explained request ${this.count}` });
    this.texts.set(uri.toString(), explanation(explained));
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { preview: true });
  }

  dispose(): void {
    this.registered.dispose();
    this.closed.dispose();
  }
}

function parse(text: string): { method: string; url: string } | undefined {
  const found = /^(?:([A-Za-z]+)\s+)?(https?:\/\/\S+)$/.exec(text.trim());
  return found?.[2] === undefined ? undefined : { method: (found[1] ?? "GET").toUpperCase(), url: found[2] };
}
