/** Asks before sessions are ended, and why; then says for each whether it worked. */
import { Button, Select } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { answerOf, api } from '@/api/call';
import { Problem } from '@/api/problem';
import { SESSIONS } from '@/api/queries';
import type { EndReason, Session } from '@/api/types';
import { shortId } from '@/format/names';
import { Failure } from './answers';
import { ClientName } from './client-name';
import { Dialog } from './dialog';
import { END_REASONS } from './reasons';
import './end-sessions.css';

/** So many are named; of more, the number. */
const NAMED_MAX = 5;

interface EndSessionsProps {
  sessions: readonly Session[];
  /** Nothing was ended, or not all. */
  close: () => void;
  /** All have ended. */
  done: () => void;
}

export function EndSessions({ sessions, close, done }: EndSessionsProps) {
  // Those that were chosen when this opened: the list behind it goes on changing.
  const [ending] = useState(sessions);
  const [reason, setReason] = useState<EndReason>('operator');
  const client = useQueryClient();
  const end = useMutation({
    mutationFn: () => endAll(ending, reason),
    onSettled: () => client.invalidateQueries({ queryKey: SESSIONS }),
    onSuccess: done,
  });
  const title = ending.length === 1 ? 'End this session?' : `End ${ending.length} sessions?`;
  return (
    <Dialog title={title} close={close}>
      <div className="end-sessions">
        <ul className="end-named">
          {ending.slice(0, NAMED_MAX).map((session) => (
            <li key={session.session_id}>
              <ClientName type={session.client_type} version={session.client_version} />
              <span className="mono quiet">{shortId(session.session_id)}</span>
            </li>
          ))}
          {ending.length > NAMED_MAX && <li className="quiet">and {ending.length - NAMED_MAX} more</li>}
        </ul>
        <Select
          label="Reason"
          description={END_REASONS[reason].meaning}
          data={Object.entries(END_REASONS).map(([value, { word }]) => ({ value, label: word }))}
          value={reason}
          onChange={(value) => setReason((value ?? 'operator') as EndReason)}
          allowDeselect={false}
          comboboxProps={{ withinPortal: false }}
        />
        {end.isError && <Failure error={end.error} />}
        <div className="end-actions">
          <Button variant="default" onClick={close} data-autofocus>
            Keep
          </Button>
          <Button color="red" loading={end.isPending} onClick={() => end.mutate()}>
            {ending.length === 1 ? 'End session' : `End ${ending.length} sessions`}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

/** One after the other: a gateway has better things to do than a hundred ends at once. */
async function endAll(sessions: readonly Session[], reason: EndReason): Promise<void> {
  const failed: Problem[] = [];
  for (const { session_id } of sessions) {
    try {
      await answerOf(
        api.POST('/api/mcp/sessions/{session_id}/disconnect', {
          params: { path: { session_id } },
          body: { reason },
        }),
      );
    } catch (error) {
      // One that has ended meanwhile is what was asked for.
      if (error instanceof Problem && (error.status === 409 || error.status === 404)) continue;
      failed.push(error instanceof Problem ? error : Problem.unreachable());
    }
  }
  const [first] = failed;
  if (first)
    throw new Problem(
      first.status,
      first.code,
      `${failed.length} could not be ended: ${first.message}`,
      first.hint,
    );
}
