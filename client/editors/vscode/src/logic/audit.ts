/** A line of the audit log, for people. Pure; laid out as `authsome log` does. */

import { localTime, printable } from "./text";

/** One line of text; what is no record is shown as it is. */
export function readable(line: string): string {
  const record = parse(line);
  if (record === undefined) {
    return printable(line);
  }
  const word = (name: string): string => {
    const value = record[name];
    return typeof value === "string" ? printable(value) : typeof value === "number" ? String(value) : "";
  };
  const time = word("time");
  const parts = [
    word("connection") === "" ? word("provider") : `${word("provider")} (${word("connection")})`,
    word("webhook") === "" ? "" : `webhook ${word("webhook")}`,
    word("host") === "" ? "" : `${word("method")} ${word("host")}${word("path")}`.trim(),
    word("code"),
    word("status"),
    [word("program") === "" ? "" : `by ${word("program")}`, word("run") === "" ? "" : `in ${word("run")}`]
      .filter((part) => part !== "")
      .join(" "),
  ];
  const shown = parts.filter((part) => part !== "").join("  ");
  const start = `${(time === "" ? "" : localTime(time)).padEnd(19)}  ${word("event").padEnd(10)}`;
  return shown === "" ? start.trimEnd() : `${start}  ${shown}`;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
