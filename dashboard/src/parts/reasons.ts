/** Why sessions end, for people. The API may know reasons that we do not: those are shown as they are. */
import type { EndReason } from '@/api/types';

const REASONS: Record<string, string> = {
  timeout_no_activity: 'idle timeout',
  client_disconnect: 'client left',
  operator: 'ended by an operator',
  error: 'error',
  server_shutdown: 'server shut down',
};

export function reasonWords(reason: string | null): string {
  return reason === null ? '' : (REASONS[reason] ?? reason.replaceAll('_', ' '));
}

/** The same where there is little room. */
export function reasonWord(reason: string): string {
  return reason === 'operator' ? 'by operator' : reasonWords(reason);
}

/** What an operator may give as a reason, and what it means for the client. */
export const END_REASONS: Record<EndReason, { word: string; meaning: string }> = {
  operator: { word: 'Ended by an operator', meaning: 'Its handles stop working at once.' },
  client_disconnect: { word: 'Client left', meaning: 'Its handles stop working at once.' },
  error: { word: 'Error', meaning: 'Its client can continue in a new session.' },
  server_shutdown: { word: 'Server shut down', meaning: 'Its handles stop working at once.' },
};
