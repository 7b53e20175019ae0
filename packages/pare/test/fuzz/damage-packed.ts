/** Bytes of a good .pare file -> bytes of a bad one whose checksum is right, so that what follows the checksum is put to the test. */
import { crc32 } from "@pare/runtime/writer";
import { mutate, type Random } from "./mutate.js";

const checkedFrom = 9;

/** A damaged copy: its head is mostly left alone. */
export function damagePacked(bytes: Uint8Array, random: Random): Uint8Array {
  if (random() < 0.2) return mutate(bytes, random);
  const body = mutate(bytes.subarray(checkedFrom), random);
  const out = new Uint8Array(checkedFrom + body.length);
  out.set(bytes.subarray(0, checkedFrom));
  out.set(body, checkedFrom);
  return out;
}

/** The file with the checksum that its contents have. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  if (out.length > checkedFrom) new DataView(out.buffer).setUint32(5, crc32(out.subarray(checkedFrom)), true);
  return out;
}
