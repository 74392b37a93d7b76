/** What narrows the list of sessions. */
import { CloseButton, SegmentedControl, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useState } from 'react';
import { oneOf } from '@/parts/search-text';
import { type SessionsSearch, STATUSES } from './search';
import './filters.css';

/** Typing asks once it pauses. */
const PAUSE_MS = 250;

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
  const [text, setText] = useState(search.q ?? '');
  const find = useDebouncedCallback((q: string) => choose({ q: q === '' ? undefined : q }), PAUSE_MS);
  const type = (typed: string) => {
    setText(typed);
    find(typed);
  };
  return (
    <search className="filters">
      {search.client && <Chip name={search.client} clear={() => choose({ client: undefined })} />}
      {search.user && <Chip name={search.user} clear={() => choose({ user: undefined })} />}
      <TextInput
        aria-label="Search sessions"
        placeholder="Client, user or session id"
        value={text}
        onChange={(event) => type(event.currentTarget.value)}
        rightSection={
          text !== '' && <CloseButton size="xs" aria-label="Clear the search" onClick={() => type('')} />
        }
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
