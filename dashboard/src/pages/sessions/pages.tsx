/** Turns the pages of the list: a page begins where its URL says. */
import { Button } from '@mantine/core';
import { getRouteApi, useRouter } from '@tanstack/react-router';
import type { Sessions } from '@/api/types';
import type { SessionsSearch } from './search';

const route = getRouteApi('/sessions');

interface PagesProps {
  search: SessionsSearch;
  page: Sessions;
  isTurning: boolean;
}

export function Pages({ search, page, isTurning }: PagesProps) {
  const navigate = route.useNavigate();
  const router = useRouter();
  if (search.cursor === undefined && page.next_cursor === null) return null;
  const turn = (cursor: string | undefined) =>
    void navigate({ search: (before) => ({ ...before, cursor }) as SessionsSearch });
  return (
    <nav className="pages" aria-label="Pages of the list">
      <Button variant="default" disabled={search.cursor === undefined} onClick={() => turn(undefined)}>
        First
      </Button>
      <Button variant="default" disabled={search.cursor === undefined} onClick={() => router.history.back()}>
        Back
      </Button>
      <Button
        variant="default"
        disabled={page.next_cursor === null || isTurning}
        onClick={() => turn(page.next_cursor ?? undefined)}
      >
        Next
      </Button>
    </nav>
  );
}
