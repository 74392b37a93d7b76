/** Who is logged in, where the API wants that, and the way out. */
import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { answerOf, api } from '@/api/call';
import { me } from '@/api/queries';
import { ROLE } from '@/parts/marks';

export function Me() {
  const client = useQueryClient();
  const { data } = useQuery(me);
  if (!data?.auth_required || data.role === null) return null;
  const leave = async () => {
    await answerOf(api.POST('/api/mcp/logout'));
    // What was seen with this login is not left behind for the next.
    client.clear();
    window.location.assign('/');
  };
  return (
    <div className="me">
      <span className="quiet cut">
        {data.name ?? 'logged in'} ({ROLE[data.role]})
      </span>
      <Button variant="subtle" size="compact-xs" onClick={() => void leave()}>
        Log out
      </Button>
    </div>
  );
}
