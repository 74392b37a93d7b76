/** What narrows the list of sessions. */
import { CloseButton, SegmentedControl } from '@mantine/core';
import { SearchField } from '@/parts/search-field';
import { oneOf } from '@/parts/search-text';
import { type SessionsSearch, STATUSES } from './search';
import '@/parts/filters.css';

const STATUS_NAMES: Record<(typeof STATUSES)[number], string> = {
  active: 'Active',
  disconnected: 'Ended',
  all: 'All',
};

interface FiltersProps {
  search: SessionsSearch;
  choose: (change: Partial<SessionsSearch>) => void;
}

export function Filters({ search, choose }: FiltersProps) {
  return (
    <search className="filters">
      {search.client && <Chip name={search.client} clear={() => choose({ client: undefined })} />}
      {search.user && <Chip name={search.user} clear={() => choose({ user: undefined })} />}
      <SearchField
        label="Search sessions"
        placeholder="Client, user or session id"
        text={search.q}
        find={(q) => choose({ q })}
      />
      <SegmentedControl
        aria-label="State"
        data={Object.entries(STATUS_NAMES).map(([value, label]) => ({ value, label }))}
        value={search.status ?? 'active'}
        onChange={(status) => choose({ status: status === 'active' ? undefined : oneOf(status, STATUSES) })}
      />
    </search>
  );
}

function Chip({ name, clear }: { name: string; clear: () => void }) {
  return (
    <span className="chip">
      <span className="cut">{name}</span>
      <CloseButton size="xs" aria-label={`Show not only ${name}`} onClick={clear} />
    </span>
  );
}
