/**
 * The opening: the first frame of each side. Its layout is frozen for ever (docs/protocol.md, "Opening").
 *
 * Pure: bytes in, values out.
 */

/** What begins every opening. */
const MAGIC = "AUTHSOME";

/** Bytes of an opening without its build text. */
const FIXED_LEN = 14;

/** Versions of the protocol that this client speaks. */
export const LOWEST = 1;
export const HIGHEST = 1;

/** How the frames after the opening are written; `none` is a daemon's refusal. */
export const Encoding = { none: 0, bincode: 1, json: 2 } as const;

/** One side's opening. */
export interface Hello {
  readonly lowest: number;
  readonly highest: number;
  readonly encoding: number;
  /** For messages only. */
  readonly build: string;
}

/** The payload of the opening frame of a client that wants JSON. */
export function encodeHello(build: string): Buffer {
  const text = Buffer.from(build, "utf8").subarray(0, 255);
  const bytes = Buffer.alloc(FIXED_LEN + text.length);
  bytes.write(MAGIC, 0, "latin1");
  bytes.writeUInt16BE(LOWEST, 8);
  bytes.writeUInt16BE(HIGHEST, 10);
  bytes.writeUInt8(Encoding.json, 12);
  bytes.writeUInt8(text.length, 13);
  text.copy(bytes, FIXED_LEN);
  return bytes;
}

/** Reads the other side's opening; `undefined` if it is none. Bytes behind the build text are ignored. */
export function decodeHello(bytes: Buffer): Hello | undefined {
  if (bytes.length < FIXED_LEN || bytes.toString("latin1", 0, 8) !== MAGIC) {
    return undefined;
  }
  const end = FIXED_LEN + bytes.readUInt8(13);
  if (bytes.length < end) {
    return undefined;
  }
  return {
    lowest: bytes.readUInt16BE(8),
    highest: bytes.readUInt16BE(10),
    encoding: bytes.readUInt8(12),
    build: bytes.toString("utf8", FIXED_LEN, end),
  };
}

/** The version both sides speak: the lower of the two highest, unless it is below a lowest. */
export function agree(theirs: Hello): number | undefined {
  const version = Math.min(HIGHEST, theirs.highest);
  return version >= Math.max(LOWEST, theirs.lowest) ? version : undefined;
}
