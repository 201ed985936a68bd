/** The person at the editor, as a login needs one: asks, shows, opens. */

import * as fs from "node:fs";
import * as vscode from "vscode";

import type { Person, Question } from "../logic/login";
import { plain } from "../logic/text";
import type { LoginAnswer } from "../protocol/messages";
import * as say from "./say";

/** Largest secret that the daemon takes, in bytes. */
const SECRET_MAX = 64 * 1024;

/** Longest address in a prompt. */
const PROMPT_MAX = 2000;

/** Whether the browser is, or may be, on another machine than the daemon. */
export function isElsewhere(): boolean {
  return vscode.env.remoteName !== undefined || vscode.env.uiKind === vscode.UIKind.Web;
}

export class EditorPerson implements Person {
  constructor(
    private readonly name: string,
    private readonly report: (message: string) => void,
  ) {}

  async ask(question: Question, signal: AbortSignal): Promise<LoginAnswer | undefined> {
    const { asks } = question;
    if (asks === "api_key" || asks === "signing_secret") {
      const secret = await this.input(question, asks === "api_key" ? "API Key" : "Signing Secret", true, signal);
      return secret === undefined ? undefined : { secret };
    }
    if (asks === "service_account") {
      return this.askFile(question);
    }
    return "client" in asks
      ? this.askClient(question, asks.client, signal)
      : this.askCookies(question, asks.cookies, signal);
  }

  async open(url: URL): Promise<boolean> {
    // the text, not a `Uri`: that one decodes `%26` and its like, and opens another address. Hosts take a text, though
    // their types do not say so
    const opened = await vscode.env.openExternal(url.href as unknown as vscode.Uri);
    if (opened && url.protocol === "http:" && isElsewhere()) {
      // some hosts lead a page of that machine through an address of their own, which the daemon refuses
      const copy = "Copy Address";
      const text = "The page is on the machine that the editor works on. If it did not open, use a browser there.";
      void vscode.window.showInformationMessage(text, copy).then((chosen) => {
        if (chosen === copy) {
          void vscode.env.clipboard.writeText(url.href);
        }
      });
    }
    return opened;
  }

  async code(code: string, url: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) {
      return false;
    }
    const copy = "Copy Code and Open Page";
    const open = "Open Page";
    const detail = `Enter this code for ${plain(this.name)} at ${plain(url)}, and compare it with the one on the page.`;
    // a dialog of its own: the code is its headline, and stays until it was read
    const chosen = await vscode.window.showInformationMessage(plain(code), { modal: true, detail }, copy, open);
    if (chosen === copy) {
      await vscode.env.clipboard.writeText(code);
    }
    return chosen !== undefined;
  }

  paste(redirectUri: string, listens: boolean, take: (address: string) => void, signal: AbortSignal): void {
    const box = vscode.window.createInputBox();
    box.title = `${plain(this.name)}: waiting for the browser`;
    box.prompt = listens
      ? `If the browser is on another machine: paste the address that it ends at, ${plain(redirectUri, PROMPT_MAX)}?…`
      : `Paste the address that the browser ends at, ${plain(redirectUri, PROMPT_MAX)}?…`;
    box.password = true;
    box.ignoreFocusOut = true;
    box.onDidAccept(() => {
      const address = box.value.trim();
      box.value = "";
      if (address !== "") {
        take(address);
      }
    });
    signal.addEventListener("abort", () => box.dispose(), { once: true });
    box.show();
  }

  progress(text: string): void {
    this.report(plain(text));
  }

  warn(text: string): void {
    say.warning(`${this.name}: ${text}`);
  }

  private async askFile(question: Question): Promise<LoginAnswer | undefined> {
    if (question.again !== null) {
      this.warn(question.again);
    }
    const chosen = await vscode.window.showOpenDialog({
      title: `${plain(question.name)}: the service account's JSON key file`,
      filters: { JSON: ["json"] },
      canSelectMany: false,
    });
    const file = chosen?.[0]?.fsPath;
    if (file === undefined) {
      return undefined;
    }
    if (fs.statSync(file).size > SECRET_MAX) {
      this.warn("the file is larger than 64 KiB, which no key file is");
      return this.askFile({ ...question, again: null });
    }
    return { secret: fs.readFileSync(file, "utf8") };
  }

  private async askClient(
    question: Question,
    client: { redirect_uri: string | null; id: string | null; secret_needed: boolean },
    signal: AbortSignal,
  ): Promise<LoginAnswer | undefined> {
    if (client.redirect_uri !== null && client.id === null && question.again === null) {
      // a person can get a client id only with it, so it comes first
      const copy = "Copy and Go On";
      const detail = [
        plain(client.redirect_uri, PROMPT_MAX),
        "is the redirect URI to register there, character by character.",
        ...question.keyUrls.map((url) => `Make the client at ${plain(url)}`),
      ].join("\n\n");
      const options = { modal: true, detail };
      const title = `${plain(question.name)} needs an OAuth client of yours`;
      if ((await vscode.window.showInformationMessage(title, options, copy)) !== copy) {
        return undefined;
      }
      await vscode.env.clipboard.writeText(client.redirect_uri);
    }
    const id = client.id ?? (await this.input(question, "OAuth Client ID", false, signal));
    if (id === undefined || id === "") {
      return undefined;
    }
    const noun = client.secret_needed ? "OAuth Client Secret" : "OAuth Client Secret (empty if it has none)";
    const secret = await this.input({ ...question, again: null }, noun, true, signal, !client.secret_needed);
    return secret === undefined ? undefined : { client: { id, secret: secret === "" ? null : secret } };
  }

  private async askCookies(
    question: Question,
    cookies: { entry_url: string; names: readonly string[]; needed: number },
    signal: AbortSignal,
  ): Promise<LoginAnswer | undefined> {
    const where = `Log in at ${cookies.entry_url}; the values are in the browser's developer tools (F12), under Application or Storage, Cookies`;
    const values: [string, string][] = [];
    for (const [index, name] of cookies.names.entries()) {
      const optional = index >= cookies.needed;
      const about = { ...question, hint: where, keyUrls: [], again: index === 0 ? question.again : null };
      const noun = `Cookie ${name}${optional ? " (may be empty)" : ""}`;
      const value = await this.input(about, noun, true, signal, optional);
      if (value === undefined) {
        return undefined;
      }
      if (value !== "") {
        values.push([name, value]);
      }
    }
    return { cookies: values };
  }

  private async input(
    question: Question,
    noun: string,
    password: boolean,
    signal: AbortSignal,
    mayBeEmpty = false,
  ): Promise<string | undefined> {
    const source = new vscode.CancellationTokenSource();
    const stop = (): void => source.cancel();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const about = [question.again, question.hint, ...question.keyUrls].filter((text) => text !== null);
      return await vscode.window.showInputBox(
        {
          title: `${plain(question.name)}: ${plain(noun)}`,
          prompt: about.map((text) => plain(text)).join(" · "),
          password,
          ignoreFocusOut: true,
          validateInput: (text) => (text === "" && !mayBeEmpty ? { message: "", severity: 1 as never } : undefined),
        },
        source.token,
      );
    } finally {
      signal.removeEventListener("abort", stop);
      source.dispose();
    }
  }
}
