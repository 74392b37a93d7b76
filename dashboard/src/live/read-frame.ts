/** Reads a frame's text. What is no frame of ours is left alone: newer servers may say more. */
import type { Frame } from '@/api/types';
import { printable } from '@/format/printable';

/** Fails to compile when a kind of frame is added and not here. */
const KNOWN: Record<Frame['type'], true> = {
  snapshot: true,
  resync: true,
  session_created: true,
  session_updated: true,
  session_disconnected: true,
  session_reconnected: true,
  request: true,
  health_update: true,
};

export function readFrame(text: unknown): Frame | undefined {
  if (typeof text !== 'string') return undefined;
  let read: unknown;
  try {
    read = JSON.parse(printable(text));
  } catch {
    return undefined;
  }
  if (typeof read !== 'object' || read === null) return undefined;
  const { type, seq, data } = read as Record<string, unknown>;
  const isOurs = typeof type === 'string' && Object.hasOwn(KNOWN, type);
  return isOurs && typeof seq === 'number' && data !== undefined ? (read as Frame) : undefined;
}
