// What this tab keeps of an attempt, so that a reload loses nothing: in sessionStorage, by the attempt's id. Signing out
// removes it, and so does somebody else's signing in.
import type { Given } from './wire';

export type Kept = {
  /** Answers that the server has not acknowledged. */
  pending: Record<string, { given: Given; seq: number }>;
  flagged: string[];
  at: number;
  all: boolean;
  /** Made once; a repeated submit with it is the same submit. */
  idempotencyKey: string;
  /** Whether the student has asked to submit. */
  submitting: boolean;
};

const PREFIX = 'attempt:';
const OWNER = 'owner';

export function load(attempt: string): Kept {
  const made: Kept = {
    pending: {},
    flagged: [],
    at: 0,
    all: false,
    idempotencyKey: crypto.randomUUID(),
    submitting: false,
  };
  try {
    return { ...made, ...JSON.parse(sessionStorage.getItem(PREFIX + attempt) ?? '{}') };
  } catch {
    return made;
  }
}

export function keep(attempt: string, kept: Kept): void {
  try {
    sessionStorage.setItem(PREFIX + attempt, JSON.stringify(kept));
  } catch {
    // Without room or permission the page still has it in memory.
  }
}

export function forget(attempt: string): void {
  sessionStorage.removeItem(PREFIX + attempt);
}

export function forgetAll(): void {
  sessionStorage.clear();
}

/** Forgets what belongs to another account than the one that has signed in. */
export function belongsTo(viewer: string): void {
  const owner = sessionStorage.getItem(OWNER);
  if (owner !== null && owner !== viewer) forgetAll();
  sessionStorage.setItem(OWNER, viewer);
}
