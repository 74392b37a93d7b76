/** States as a mark and a word. Each table fails to compile when the API gains a state that is not here. */
import type { Level, Outcome, Role, Status } from '@/api/types';
import './marks.css';

export type Tone = 'good' | 'quiet' | 'warn' | 'bad';

interface Shown {
  tone: Tone;
  word: string;
}

const STATUS: Record<Status, Shown> = {
  active: { tone: 'good', word: 'active' },
  disconnected: { tone: 'quiet', word: 'ended' },
  expired: { tone: 'quiet', word: 'expired' },
};

const OUTCOME: Record<Outcome, Shown> = {
  success: { tone: 'good', word: 'success' },
  error: { tone: 'bad', word: 'error' },
  timeout: { tone: 'warn', word: 'timeout' },
};

const LEVEL: Record<Level, Shown> = {
  info: { tone: 'quiet', word: 'info' },
  warning: { tone: 'warn', word: 'warning' },
  error: { tone: 'bad', word: 'error' },
};

/** What somebody may do, for people. */
export const ROLE: Record<Role, string> = { viewer: 'viewer', operator: 'operator' };

/** `word` says more than the state's own. */
export function StatusMark({ status, word }: { status: Status; word?: string }) {
  return <Mark {...STATUS[status]} {...(word !== undefined && { word })} />;
}

export function OutcomeMark({ outcome }: { outcome: Outcome }) {
  return <Mark {...OUTCOME[outcome]} />;
}

export function LevelMark({ level }: { level: Level }) {
  return <Mark {...LEVEL[level]} />;
}

export function Mark({ tone, word }: Shown) {
  return (
    <span className="mark" data-tone={tone}>
      <span className="mark-dot" aria-hidden="true" />
      {word}
    </span>
  );
}
