/**
 * The messages of version 1 that this extension speaks, as types (docs/protocol.md, "Messages").
 *
 * Requests are sent with all their fields, `null` where there is nothing. Of answers and events only what is
 * used is named; a variant that is not known makes an answer fail and an event be skipped.
 */

/** Provider and connection. */
export type Pair = readonly [provider: string, connection: string];

/** An `authsome.toml`. */
export interface Project {
  readonly path: string;
  readonly text: string;
}

export type Flow = "pkce" | "dcr_pkce" | "device_code" | "client_credentials" | "jwt_bearer";
export type Via = "form" | "submit";

/** Answers to what a login asks. */
export type LoginAnswer =
  | { client: { id: string; secret: string | null } }
  | { redirect: string }
  | { cookies: readonly (readonly [name: string, value: string])[] }
  | { secret: string };

/** Requests, each in the form it has on the wire. */
export type Request =
  | "status"
  | "connections"
  | "providers"
  | "runs"
  | "subscribe"
  | {
      login: {
        provider: string;
        connection: string | null;
        force: boolean;
        via: Via;
        region: string | null;
        flow: Flow | null;
        scopes: readonly string[];
        base_url: string | null;
        client_id: string | null;
      };
    }
  | {
      login_server: {
        url: string;
        connection: string | null;
        force: boolean;
        via: Via;
        scopes: readonly string[];
        client_id: string | null;
      };
    }
  | { login_answer: { login: string; answer: LoginAnswer } }
  | { login_wait: { login: string } }
  | { login_cancel: { login: string } }
  | { logout: { provider: string; connection: string | null } }
  | { set_default: { provider: string; connection: string } }
  | { log_follow: { lines: number; provider: string | null; run: string | null } }
  | { unlock: { passphrase: string } }
  | {
      explain: {
        method: string;
        url: string;
        run: string | null;
        connections: readonly Pair[];
        project: Project | null;
      };
    };

export type ConnectionState = "connected" | "expiring" | "expired" | "needs_login" | "revoked";

/** A connection, without its secret. Times are RFC 3339, UTC. */
export interface Connection {
  readonly provider: string;
  readonly display_name: string;
  readonly connection: string;
  readonly is_default: boolean;
  readonly auth: string;
  readonly state: ConnectionState;
  readonly created_at: string;
  readonly rotated_at: string | null;
  readonly last_used: string | null;
  readonly expires_at: string | null;
  readonly hosts: readonly string[];
  readonly unconfirmed_hosts: readonly string[];
  readonly variables: readonly string[];
  readonly slot: string;
  readonly region: string | null;
  readonly renews: boolean;
  readonly scopes: readonly string[];
  readonly flow: Flow | null;
}

/** A provider that can be logged in to, or the reason why not yet. */
export interface Provider {
  readonly provider: string;
  readonly display_name: string;
  readonly auth: string;
  readonly source: string;
  readonly not_yet: string | null;
  readonly connections: number;
  readonly regions: readonly string[];
  readonly flows: readonly Flow[];
}

export type Asks =
  | "api_key"
  | "signing_secret"
  | "service_account"
  | { client: { redirect_uri: string | null; id: string | null; secret_needed: boolean } }
  | { cookies: { entry_url: string; names: readonly string[]; needed: number } };

export type Step =
  | "wait"
  | { form: { url: string; moved_from: number | null; asks: Asks } }
  | { enter: { asks: Asks } }
  | { authorize: { url: string; redirect_uri: string; listens: boolean } }
  | { device: { url: string; url_with_code: string | null; code: string } };

export type Stage =
  | "storing"
  | "exchanging"
  | { waiting: { seconds_left: number } }
  | { rejected: { reason: string } }
  | { step: Step };

export interface LoginStarted {
  readonly login: string;
  readonly display_name: string;
  readonly connection: string;
  readonly step: Step;
  readonly hint: string | null;
  readonly key_urls: readonly string[];
  readonly seconds_left: number;
}

export interface LoggedIn {
  readonly provider: string;
  readonly display_name: string;
  readonly connection: string;
  readonly is_default: boolean;
  readonly replaced: boolean;
  readonly variables: readonly string[];
  readonly store: string;
  readonly expires_at: string | null;
  readonly renews: boolean;
}

export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly home: string;
  readonly socket: string;
  readonly vault: {
    readonly store: string;
    readonly chosen: boolean;
    readonly problem: string | null;
    readonly hint: string | null;
  };
  readonly connections: number;
  readonly runs: number;
  readonly warnings: readonly string[];
}

export interface Explained {
  readonly request: string;
  readonly outcome: "inject" | "pass" | "tunnel" | "refuse";
  readonly code: string | null;
  readonly message: string;
  readonly fix: string | null;
  readonly provider: string | null;
  readonly connection: string | null;
  readonly slot: string | null;
  readonly routes: readonly {
    readonly provider: string;
    readonly connection: string;
    readonly hosts: readonly string[];
    readonly path: string;
    readonly methods: string;
    readonly slot: string;
    readonly verdict: string;
    readonly why: string;
  }[];
  readonly rules: readonly { readonly source: string; readonly rule: string; readonly refuses: boolean }[];
  readonly notes: readonly string[];
}

export interface Forgotten {
  readonly provider: string;
  readonly connections: readonly string[];
  readonly new_default: string | null;
  readonly left: readonly string[];
  readonly default_changed: boolean;
}

/** Answers by name. */
export interface Answers {
  done: null;
  status: Status;
  connections: readonly Connection[];
  providers: { readonly providers: readonly Provider[]; readonly problems: readonly string[] };
  login_started: LoginStarted;
  logged_in: LoggedIn;
  forgotten: Forgotten;
  explained: Explained;
  runs: readonly unknown[];
}

/** An answer as its name and what it holds, whether the name is known or not. */
export interface Answer {
  readonly name: string;
  readonly value: unknown;
}

/** Events by name. */
export interface Events {
  audit: { readonly line: string };
  connection_changed: { readonly provider: string; readonly connection: string };
  login_progress: { readonly login: string; readonly stage: Stage };
  run_started: { readonly run: string };
  run_ended: { readonly run: string };
  missed: { readonly count: number };
}

/** An event; those of unknown names are skipped where they are decoded. */
export type Event = { [Name in keyof Events]: { readonly name: Name; readonly value: Events[Name] } }[keyof Events];

const EVENTS: ReadonlySet<string> = new Set<keyof Events>([
  "audit",
  "connection_changed",
  "login_progress",
  "missed",
  "run_ended",
  "run_started",
]);

/** An error of the daemon's, as it stands on the wire. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly causes: readonly string[];
  readonly hint: string | null;
}

/** What the daemon sends. */
export type FromDaemon =
  | { readonly kind: "answer"; readonly id: number; readonly result: Answer | WireError }
  | { readonly kind: "event"; readonly id: number; readonly event: Event }
  | { readonly kind: "unknown" };

/** Whether an answer's result is an error. */
export function isWireError(result: Answer | WireError): result is WireError {
  return "code" in result;
}

/** The frame of a request. */
export function encodeRequest(id: number, request: Request): Buffer {
  return Buffer.from(JSON.stringify({ request: { id, request } }), "utf8");
}

/** The frame that gives up a request in flight. */
export function encodeCancel(id: number): Buffer {
  return Buffer.from(JSON.stringify({ cancel: { id } }), "utf8");
}

/**
 * Reads a frame of the daemon's; `undefined` if it is no message at all, and then the connection is of no use
 * any more. A message or event of a later release is `unknown`, and is skipped.
 */
export function decode(payload: Buffer): FromDaemon | undefined {
  let message: unknown;
  try {
    message = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
  const outer = variant(message);
  if (outer === undefined) {
    return undefined;
  }
  const body = outer.value;
  if (!isObject(body) || typeof body.id !== "number") {
    return outer.name === "answer" || outer.name === "event" ? undefined : { kind: "unknown" };
  }
  if (outer.name === "event") {
    const event = variant(body.event);
    if (event === undefined) {
      return undefined;
    }
    return EVENTS.has(event.name) && isObject(event.value)
      ? { kind: "event", id: body.id, event: event as Event }
      : { kind: "unknown" };
  }
  if (outer.name === "answer" && isObject(body.result)) {
    const error = body.result.Err;
    const result = error === undefined ? variant(body.result.Ok) : wireError(error);
    return result === undefined ? undefined : { kind: "answer", id: body.id, result };
  }
  return outer.name === "answer" ? undefined : { kind: "unknown" };
}

/** A variant's name and value: a name alone is a string, one with fields an object of one field. */
export function variant(value: unknown): Answer | undefined {
  if (typeof value === "string") {
    return { name: value, value: null };
  }
  if (!isObject(value)) {
    return undefined;
  }
  const [entry, ...others] = Object.entries(value);
  return entry !== undefined && others.length === 0 ? { name: entry[0], value: entry[1] } : undefined;
}

function wireError(value: unknown): WireError | undefined {
  if (!isObject(value) || typeof value.code !== "string" || typeof value.message !== "string") {
    return undefined;
  }
  const causes = Array.isArray(value.causes) ? value.causes : [];
  return {
    code: value.code,
    message: value.message,
    causes: causes.filter((cause): cause is string => typeof cause === "string"),
    hint: typeof value.hint === "string" ? value.hint : null,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
