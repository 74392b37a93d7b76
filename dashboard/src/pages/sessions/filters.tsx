/** What narrows the list of sessions. */
import { CloseButton, SegmentedControl, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { usage } from '@/api/queries';
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
      {search.user && <Chip name={search.user} clear={() => choose({ user: undefined })} />}
      <ClientChoice client={search.client} choose={(client) => choose({ client })} />
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
      <CloseButton size="xs" aria-label={`Clear filter: ${name}`} onClick={clear} />
    </span>
  );
}

/** Clients are known by what they used: those of this long ago, and the one that was asked for. */
const CLIENTS_DAYS = 90;

function ClientChoice({
  client,
  choose,
}: {
  client: string | undefined;
  choose: (client: string | undefined) => void;
}) {
  const { data } = useQuery({ ...usage({ days: CLIENTS_DAYS }), staleTime: 60_000 });
  const known = new Set(Object.keys(data?.by_client ?? {}));
  if (client) known.add(client);
  return (
    <Select
      aria-label="Client"
      placeholder="All clients"
      data={[...known].sort()}
      value={client ?? null}
      onChange={(chosen) => choose(chosen ?? undefined)}
      clearable
      clearButtonProps={{ 'aria-label': 'Show all clients' }}
    />
  );
}
