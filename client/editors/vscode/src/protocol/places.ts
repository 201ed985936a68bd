/**
 * Where the daemon of a home listens (docs/protocol.md, "Finding the daemon").
 *
 * 1. The home's lock names the socket of the daemon that holds it.
 * 2. Without a note there, the socket is where this environment says.
 * 3. The socket's folder must be ours and closed to the writing of others.
 *
 * Node cannot ask the kernel for the user at the other end of a Unix socket (`SO_PEERCRED`) without native code.
 * In its place the socket itself must be ours, too: in a folder that nobody else can write to, only our own user
 * (or root) can have put it there.
 */

import * as fs from "node:fs";
import * as path from "node:path";

import { Failure } from "./failure";

/** Longest path of a socket, in bytes. */
const SOCKET_PATH_MAX = 103;

/** Largest lock note that is read, in bytes. */
const NOTE_MAX = 4096;

/** Bits of a mode by which the group and everybody else may write. */
const OTHERS_WRITE = 0o022;

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Places {
  readonly home: string;
  readonly lock: string;
  /** Where the socket is if the lock has no note. */
  readonly socket: string;
}

/** Who we are. Windows has no user ids, and there is no daemon for it. */
export function ownUser(): number {
  const uid = process.geteuid?.();
  if (uid === undefined) {
    throw Failure.local("no_home", "authsome does not run on this system", [], "Linux only, for now");
  }
  return uid;
}

/** The places that an environment describes; `runUser` is where the system keeps runtime folders. */
export function placesOf(environment: Environment, uid: number, runUser = "/run/user"): Places {
  const ordinary = absolute(environment, "HOME");
  const ordinaryHome = ordinary === undefined ? undefined : path.posix.join(ordinary, ".authsome");
  const home = absolute(environment, "AUTHSOME_HOME") ?? ordinaryHome;
  if (home === undefined) {
    throw Failure.local("no_home", "neither `AUTHSOME_HOME` nor `HOME` is set");
  }
  const base = absolute(environment, "XDG_RUNTIME_DIR") ?? ownFolder(`${runUser}/${uid}`, uid);
  let runtime = `${home}/run`;
  if (base !== undefined) {
    runtime = `${base}/${same(home, ordinaryHome) ? "authsome" : `authsome-${fnv1a(home)}`}`;
  }
  const socket = `${runtime}/control.sock`;
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
    const cause = `\`${socket}\` is longer than the ${SOCKET_PATH_MAX} bytes of a socket's address`;
    throw Failure.local("no_home", "the path of the socket is too long", [cause], "choose a shorter home");
  }
  return { home, lock: `${home}/daemon.lock`, socket };
}

/** The socket to try: the one that the lock names, else our own. */
export function socketOf(places: Places, uid: number): string {
  return lockNote(places.lock, uid)?.socket ?? places.socket;
}

/** FNV-1a, 64 bits, as 16 hex digits: a name, not a protection. */
export function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text, "utf8")) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}

export interface LockNote {
  readonly pid: number;
  readonly socket: string;
}

/** Reads a lock's text; anything else than a whole note is none. */
export function parseNote(text: string): LockNote | undefined {
  const found = /^pid ([0-9]{1,10})\nsocket (\/[^\n]*)\n$/.exec(text);
  return found?.[1] === undefined || found[2] === undefined
    ? undefined
    : { pid: Number(found[1]), socket: found[2] };
}

/** The note in a lock. A link, a pipe or somebody else's file is none: it could block, or lead us astray. */
export function lockNote(file: string, uid: number): LockNote | undefined {
  let descriptor: number;
  try {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    descriptor = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const meta = fs.fstatSync(descriptor);
    if (!meta.isFile() || meta.uid !== uid) {
      return undefined;
    }
    const bytes = Buffer.alloc(NOTE_MAX);
    return parseNote(bytes.toString("utf8", 0, fs.readSync(descriptor, bytes, 0, NOTE_MAX, 0)));
  } catch {
    return undefined;
  } finally {
    fs.closeSync(descriptor);
  }
}

/**
 * Fails unless the socket's folder is a folder of ours, no link, that nobody else can write to, and the socket,
 * if there is one, is a socket of ours. Gives whether there is one.
 */
export function checkSocket(socket: string, uid: number): boolean {
  const folder = path.posix.dirname(socket);
  const meta = lstat(folder);
  if (meta === undefined) {
    return false;
  }
  const refuse = (what: string, why: string): Failure =>
    Failure.local(
      "unsafe_place",
      `will not use \`${what}\``,
      [why],
      "nothing was sent; choose a private folder, or `chmod 700` this one if it is yours",
    );
  if (meta.isSymbolicLink()) {
    throw refuse(folder, "it is a symbolic link");
  }
  if (!meta.isDirectory()) {
    throw refuse(folder, "it is not a folder");
  }
  if (meta.uid !== uid) {
    throw refuse(folder, `it belongs to user ${meta.uid}, not to you`);
  }
  if ((meta.mode & OTHERS_WRITE) !== 0) {
    const mode = (meta.mode & 0o7777).toString(8).padStart(4, "0");
    throw refuse(folder, `other users can write there (mode ${mode})`);
  }
  const own = lstat(socket);
  if (own === undefined) {
    return false;
  }
  if (!own.isSocket()) {
    throw refuse(socket, "it is not a socket");
  }
  if (own.uid !== uid) {
    throw refuse(socket, `it belongs to user ${own.uid}, not to you`);
  }
  return true;
}

function absolute(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  if (value === undefined || value === "") {
    return undefined;
  }
  if (!value.startsWith("/")) {
    throw Failure.local("no_home", `\`${name}\` must be an absolute path`, [`it is \`${value}\``]);
  }
  return value;
}

/** Whether two paths are one as they are written, but for doubled, closing and idle separators. */
function same(one: string, other: string | undefined): boolean {
  const parts = (text: string): string => text.split("/").filter((part) => part !== "" && part !== ".").join("/");
  return other !== undefined && parts(one) === parts(other);
}

function ownFolder(folder: string, uid: number): string | undefined {
  const meta = lstat(folder);
  return meta?.isDirectory() === true && meta.uid === uid ? folder : undefined;
}

function lstat(file: string): fs.Stats | undefined {
  return fs.lstatSync(file, { throwIfNoEntry: false });
}
