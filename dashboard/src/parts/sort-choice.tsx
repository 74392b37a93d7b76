/** How a table is sorted where it has no header to click on: as cards. */
import type { SortingState } from '@tanstack/react-table';
import type { Column } from './data-table';

interface SortChoiceProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  sorted: SortingState;
  sort: (sorting: SortingState) => void;
}

export function SortChoice<Row>({ label, columns, sorted, sort }: SortChoiceProps<Row>) {
  const sortable = columns.filter(({ value }) => value !== undefined);
  if (sortable.length === 0) return null;
  const [first] = sorted;
  return (
    <label className="table-sort-choice">
      Sort by
      <select
        aria-label={`Sort ${label} by`}
        value={first ? nameOf(first.id, first.desc) : ''}
        onChange={(event) => {
          const [id = '', direction] = event.currentTarget.value.split(' ');
          sort([{ id, desc: direction === 'desc' }]);
        }}
      >
        {!first && <option value="">as they come</option>}
        {sortable.flatMap(({ id, name }) => [
          <option key={`${id} desc`} value={nameOf(id, true)}>
            {name} ↓
          </option>,
          <option key={`${id} asc`} value={nameOf(id, false)}>
            {name} ↑
          </option>,
        ])}
      </select>
    </label>
  );
}

function nameOf(id: string, isDescending: boolean): string {
  return `${id} ${isDescending ? 'desc' : 'asc'}`;
}
