/**
 * Frames: a length, `u32` big-endian, and that many bytes.
 *
 * Pure. A length over the limit is refused when it is read, before a byte of the frame is kept (F1).
 */

/** Largest opening frame, in bytes. */
export const HELLO_MAX = 512;

/** Largest frame after it, in bytes. */
export const FRAME_MAX = 1_048_576;

const PREFIX_LEN = 4;

/** What came is no frame of ours. Nothing of it is in the message. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** A payload with its length before it. */
export function frame(payload: Buffer, limit: number): Buffer {
  if (payload.length > limit) {
    throw new FrameError(`a frame of ${payload.length} bytes is over the limit of ${limit}`);
  }
  const bytes = Buffer.allocUnsafe(PREFIX_LEN + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  payload.copy(bytes, PREFIX_LEN);
  return bytes;
}

/** Cuts a stream of bytes into frames. The first frame has the limit of an opening. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private kept = 0;
  private limit = HELLO_MAX;

  /** The next frame, or `undefined` until more bytes came. Throws {@link FrameError}. */
  next(): Buffer | undefined {
    const prefix = this.peek(PREFIX_LEN);
    if (prefix === undefined) {
      return undefined;
    }
    const length = prefix.readUInt32BE(0);
    if (length > this.limit) {
      throw new FrameError(`a frame of ${length} bytes is over the limit of ${this.limit}`);
    }
    const whole = this.peek(PREFIX_LEN + length);
    if (whole === undefined) {
      return undefined;
    }
    this.drop(PREFIX_LEN + length);
    this.limit = FRAME_MAX;
    return whole.subarray(PREFIX_LEN);
  }

  /** Takes bytes as they came. */
  push(chunk: Buffer): void {
    if (chunk.length > 0) {
      this.chunks.push(chunk);
      this.kept += chunk.length;
    }
  }

  private peek(length: number): Buffer | undefined {
    if (this.kept < length) {
      return undefined;
    }
    const first = this.chunks[0];
    if (first === undefined || first.length < length) {
      this.chunks = [Buffer.concat(this.chunks, this.kept)];
    }
    return this.chunks[0]?.subarray(0, length);
  }

  private drop(length: number): void {
    const [first] = this.chunks;
    if (first === undefined) {
      return;
    }
    if (first.length === length) {
      this.chunks.shift();
    } else {
      this.chunks[0] = first.subarray(length);
    }
    this.kept -= length;
  }
}
