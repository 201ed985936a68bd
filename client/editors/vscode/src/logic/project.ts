/**
 * The `authsome.toml` that `authsome run` would find in a folder, for explaining requests as they would go there.
 *
 * Upwards folder by folder, up to the home folder if it is on the way. The first file counts; one that others could have
 * put there or may write to is left aside, as the client does. A stranger's folder ends the search. A file can only
 * narrow.
 */

import * as fs from "node:fs";
import * as path from "node:path";

import { Failure } from "../protocol/failure";
import type { Project } from "../protocol/messages";

const NAME = "authsome.toml";

/** Largest file that is sent, in bytes. */
const LEN_MAX = 64 * 1024;

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

/** Whose files are trusted, besides root's. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The project file for `folder`, if there is one. Fails on one that is ours and cannot be read, as a run would. */
export function findProject(folder: string, home: string | undefined, me: User): Project | null {
  const last = home === undefined ? undefined : real(home);
  let here = real(folder);
  while (here !== undefined) {
    if (!isTrusted(fs.statSync(here, { throwIfNoEntry: false }), me)) {
      return null;
    }
    const file = path.join(here, NAME);
    const text = read(file, me);
    if (text !== undefined) {
      return { path: file, text };
    }
    const above = path.dirname(here);
    here = here === last || above === here ? undefined : above;
  }
  return null;
}

function read(file: string, me: User): string | undefined {
  const link = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!isTrusted(link, me)) {
    return undefined;
  }
  const cannot = (why: string): Failure => Failure.local("bad_answer", `cannot read \`${file}\``, [why]);
  let descriptor: number;
  try {
    // a pipe that nobody writes to does not hold us up
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    throw cannot(Failure.of(error).message);
  }
  try {
    // what was opened, whatever stands there by now
    const meta = fs.fstatSync(descriptor);
    if (!meta.isFile()) {
      throw cannot("it is not a regular file");
    }
    // the user's own group may: nobody else is in it on many systems
    const open = (meta.mode & OTHERS_WRITE) !== 0 || ((meta.mode & GROUP_WRITES) !== 0 && meta.gid !== me.gid);
    if (open || !isTrusted(meta, me)) {
      return undefined;
    }
    if (meta.size > LEN_MAX) {
      throw cannot("it is larger than 64 KiB");
    }
    return fs.readFileSync(descriptor, "utf8");
  } finally {
    fs.closeSync(descriptor);
  }
}

function isTrusted(meta: fs.Stats | undefined, me: User): meta is fs.Stats {
  return meta !== undefined && (meta.uid === me.uid || meta.uid === 0);
}

function real(folder: string): string | undefined {
  try {
    return fs.realpathSync(folder);
  } catch {
    return undefined;
  }
}
