/** Whether the page is live or polls, and when it tries again. */
import { Button } from '@mantine/core';
import type { Connection } from '@/live/connection';
import { useConnection } from '@/live/live';
import { useNow } from '@/parts/clock';
import { Mark, type Tone } from '@/parts/marks';

const SHOWN: Record<Connection['phase'], { tone: Tone; word: string; meaning: string }> = {
  connecting: { tone: 'quiet', word: 'connecting', meaning: 'Opening the live connection.' },
  live: { tone: 'good', word: 'live', meaning: 'Changes show as they happen.' },
  polling: {
    tone: 'warn',
    word: 'polling',
    meaning:
      'The live connection failed. Figures are fetched every 10 s, every 30 s while this tab is hidden.',
  },
  retrying: { tone: 'warn', word: 'polling', meaning: 'Retrying the live connection.' },
};

export function LiveMark() {
  const connection = useConnection();
  const { tone, word, meaning } = SHOWN[connection.phase];
  return (
    <div className="live-mark" title={meaning}>
      <span role="status">
        <Mark tone={tone} word={word} />
      </span>
      {connection.phase === 'polling' && (
        <>
          <NextTry at={connection.retryAt} />
          <Button variant="subtle" size="compact-xs" onClick={connection.retryNow}>
            Reconnect now
          </Button>
        </>
      )}
    </div>
  );
}

function NextTry({ at }: { at: number }) {
  const now = useNow();
  const seconds = Math.max(0, Math.ceil((at - now) / 1_000));
  return <span className="quiet live-next">retry in {seconds} s</span>;
}
