/** Words for connections, states and explanations. Pure. */

import type { Connection, Explained, LoggedIn, Status } from "../protocol/messages";
import type { Failure } from "../protocol/failure";
import { duration, localTime, plain, printable } from "./text";

/** Whether a person must do something before it can be used. */
export function needsPerson(connection: Connection): boolean {
  return ["needs_login", "expired", "revoked"].includes(connection.state);
}

/**
 * What stands behind a connection's name: what is wrong with it or when it ends, for a narrow view cuts the rest off;
 * which one it is; the default's mark.
 */
export function description(connection: Connection, now: number): string {
  const name = `${connection.connection}${connection.is_default ? " *" : ""}`;
  return [stateWords(connection, now), name]
    .filter((part) => part !== "")
    .map((part) => plain(part))
    .join(" · ");
}

/** The state where there is anything to be said of it. */
export function stateWords(connection: Connection, now: number): string {
  switch (connection.state) {
    case "connected":
      return connection.expires_at === null || connection.renews ? "" : ends(connection.expires_at, now);
    case "expiring":
      return connection.expires_at === null ? "ends soon" : ends(connection.expires_at, now);
    case "expired":
      return "expired";
    case "needs_login":
      return "needs login";
    case "revoked":
      return "revoked";
    default:
      return connection.state;
  }
}

/** All about a connection, line by line. */
export function details(connection: Connection, now: number): string {
  const line = (name: string, value: string | null): string[] =>
    value === null || value === "" ? [] : [`${name}: ${printable(value)}`];
  const time = (value: string | null): string | null => (value === null ? null : localTime(value));
  const { expires_at: expires } = connection;
  return [
    `${printable(connection.display_name)} (${connection.provider})`,
    `connection: ${connection.connection}${connection.is_default ? ", the default" : ""}`,
    `state: ${stateWords(connection, now) || connection.state}`,
    ...line("renews itself; token until", connection.renews ? time(expires) : null),
    ...line("ends", connection.renews ? null : time(expires)),
    ...line("hosts", connection.hosts.join(", ")),
    ...line("hosts not confirmed", connection.unconfirmed_hosts.join(", ")),
    ...line("region", connection.region),
    ...line("sent as", connection.slot),
    ...line("variables", connection.variables.join(", ")),
    ...line("scopes", connection.scopes.join(" ")),
    ...line("since", time(connection.rotated_at ?? connection.created_at)),
    ...line("last used", time(connection.last_used)),
  ].join("\n");
}

/** How the status bar looks. */
export interface Bar {
  readonly icon: "key" | "warning" | "error" | "circle-slash";
  readonly text: string;
  readonly tooltip: string;
  readonly alarm: "none" | "warning" | "error";
}

/** The status bar with a daemon. */
export function barConnected(connections: readonly Connection[], status: Status | undefined): Bar {
  const needy = connections.filter(needsPerson);
  const count = (number: number, name: string): string => `${number} ${name}${number === 1 ? "" : "s"}`;
  const about = [`authsome: ${count(connections.length, "connection")}`];
  if (status !== undefined) {
    about[0] += `, ${count(status.runs, "run")}`;
    about.push(`daemon ${printable(status.version)}; secrets in the store \`${printable(status.vault.store)}\``);
    about.push(...status.warnings.map((warning) => `warning: ${printable(warning)}`));
  }
  const problem = status?.vault.problem ?? null;
  if (problem !== null) {
    about.push(printable(problem), ...(status?.vault.hint == null ? [] : [printable(status.vault.hint)]));
    return { icon: "warning", text: "authsome: vault", tooltip: about.join("\n"), alarm: "warning" };
  }
  about.push(...needy.map((one) => `${printable(one.display_name)} (${one.connection}): ${stateWords(one, 0)}`));
  return needy.length === 0
    ? { icon: "key", text: "authsome", tooltip: about.join("\n"), alarm: "none" }
    : {
        icon: "warning",
        text: `authsome: ${needy.length} need${needy.length === 1 ? "s" : ""} login`,
        tooltip: about.join("\n"),
        alarm: "warning",
      };
}

/** The status bar without a daemon. */
export function barAbsent(why: Failure): Bar {
  const tooltip = [why.line, ...(why.hint === null ? [] : [why.hint])].map((line) => printable(line)).join("\n");
  return why.code === "not_running" || why.code === "connection_lost"
    ? { icon: "circle-slash", text: "authsome", tooltip: `authsome: no daemon\n${tooltip}`, alarm: "none" }
    : { icon: "error", text: "authsome", tooltip, alarm: "error" };
}

/** How a login ended. */
export function loggedIn(done: LoggedIn): string {
  const store = done.store === "keyring" ? "the keyring" : done.store === "file" ? "encrypted files" : done.store;
  const variables = done.variables.length === 0 ? "" : `; programs see ${done.variables.join(", ")}`;
  return plain(
    `${done.replaced ? "replaced" : "connected"}: ${done.display_name} (${done.connection}); stored in ${store}${variables}`,
  );
}

/** What would become of a request, as lines. */
export function explanation(explained: Explained): string {
  const rows = (heads: readonly string[], cells: readonly (readonly string[])[]): string[] => {
    const all = [heads, ...cells.map((row) => row.map((cell) => printable(cell)))];
    const widths = heads.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
    return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
  };
  const line = (name: string, value: string | null): string[] =>
    value === null ? [] : [`${name.padEnd(12)}${printable(value)}`];
  const credential = explained.provider === null ? null : `${explained.provider}, connection ${explained.connection ?? "?"}`;
  const lines = [
    ...line("request", explained.request),
    ...line("outcome", explained.code === null ? explained.outcome : `${explained.outcome} (${explained.code})`),
    ...line("why", explained.message),
    ...line("way out", explained.fix),
    ...line("credential", credential),
    ...line("goes into", explained.slot),
  ];
  if (explained.routes.length > 0) {
    const cells = explained.routes.map((route) => [
      route.provider,
      route.connection,
      route.path,
      route.methods,
      route.why,
    ]);
    lines.push("", ...rows(["ROUTE", "CONNECTION", "PATHS", "METHODS", "VERDICT"], cells));
  }
  if (explained.rules.length > 0) {
    const cells = explained.rules.map((rule) => [rule.refuses ? "refuses" : "lets pass", rule.rule, rule.source]);
    lines.push("", ...rows(["RULE", "SAYS", "FROM"], cells));
  }
  lines.push(...explained.notes.flatMap((note) => ["", printable(note)]));
  return `${lines.join("\n")}\n`;
}

function ends(rfc3339: string, now: number): string {
  const seconds = (Date.parse(rfc3339) - now) / 1000;
  if (Number.isNaN(seconds)) {
    return "";
  }
  return seconds <= 0 ? "expired" : `ends in ${duration(seconds)}`;
}
