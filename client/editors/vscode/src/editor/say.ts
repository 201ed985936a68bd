/** The only code that shows messages: every text is made {@link plain} here. */

import * as vscode from "vscode";

import { plain } from "../logic/text";
import { Failure } from "../protocol/failure";

const COPY = "Copy Command";
const ADDRESS_LEN_MAX = 4096;

/** A failure with its way out. Where that is a command it can be copied; it is never run from here. */
export function failure(error: unknown): void {
  const failure = Failure.of(error);
  const text = [failure.line, ...(failure.hint === null ? [] : [failure.hint])].map((line) => plain(line)).join("; ");
  const command = /`((?:authsome|code) [^`]+)`/.exec(failure.hint ?? "")?.[1];
  const actions = command === undefined ? [] : [COPY];
  void vscode.window.showErrorMessage(text, ...actions).then((chosen) => {
    if (chosen === COPY && command !== undefined) {
      void vscode.env.clipboard.writeText(command);
    }
  });
}

export function info(text: string): void {
  void vscode.window.showInformationMessage(plain(text));
}

export function warning(text: string): void {
  void vscode.window.showWarningMessage(plain(text, ADDRESS_LEN_MAX));
}

/** Asks before something that cannot be taken back. */
export async function confirm(question: string, detail: string, action: string): Promise<boolean> {
  const options = { modal: true, detail: plain(detail) };
  return (await vscode.window.showWarningMessage(plain(question), options, action)) === action;
}
