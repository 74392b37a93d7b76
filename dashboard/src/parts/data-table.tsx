/** The dashboard's table: columns, sorting, choosing rows; each row a card where the screen is narrow. */
import { Checkbox } from '@mantine/core';
import {
  type ColumnDef,
  createSortedRowModel,
  metaHelper,
  type RowSelectionState,
  rowSelectionFeature,
  rowSortingFeature,
  type SortingState,
  sortFn_basic,
  tableFeatures,
  useTable,
} from '@tanstack/react-table';
import { type ReactNode, useMemo } from 'react';
import { SortChoice } from './sort-choice';
import './data-table.css';

interface Look {
  /** Figures stand under each other by their last digit. */
  align?: 'number';
  /** Takes the room that is left. */
  isWide?: boolean;
  /** Left out where the screen is narrow. */
  isExtra?: boolean;
  /** The heading of a card; that of the first column if none says so. */
  isTitle?: boolean;
}

export interface Column<Row> extends Look {
  id: string;
  name: string;
  cell: (row: Row) => ReactNode;
  /** What the table is sorted by, where it can be. */
  value?: (row: Row) => string | number;
}

const features = tableFeatures({
  rowSortingFeature,
  rowSelectionFeature,
  sortedRowModel: createSortedRowModel(),
  columnMeta: metaHelper<Look>(),
});

/** So many columns stand closer together. */
const DENSE_FROM = 11;

interface DataTableProps<Row> {
  label: string;
  /** The same object each time: a new one makes the whole table anew. */
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowId: (row: Row) => string;
  sorting?: SortingState;
  /** Where the server sorts: what was asked for. Without it rows are sorted here. */
  onSort?: (sorting: SortingState) => void;
  selection?: RowSelectionState;
  onSelect?: (selection: RowSelectionState) => void;
  /** Which rows can be chosen. */
  canSelect?: (row: Row) => boolean;
  /** What a row is called where it is chosen. */
  rowName?: (row: Row) => string;
  empty: ReactNode;
}

export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { label, columns, rows, rowId, sorting, onSort, selection, onSelect, canSelect, rowName, empty } =
    props;
  const title = columns.find((column) => column.isTitle) ?? columns[0];
  const defined = useMemo(() => columns.map(define), [columns]);
  const table = useTable({
    features,
    columns: defined,
    data: rows,
    getRowId: rowId,
    manualSorting: onSort !== undefined,
    enableSortingRemoval: false,
    enableRowSelection: (row) => onSelect !== undefined && (canSelect?.(row.original) ?? true),
    ...(onSort
      ? {
          state: { sorting: sorting ?? [], rowSelection: selection ?? {} },
          onSortingChange: (change) => onSort(typeof change === 'function' ? change(sorting ?? []) : change),
        }
      : { initialState: { sorting: sorting ?? [] } }),
    onRowSelectionChange: (change) =>
      onSelect?.(typeof change === 'function' ? change(selection ?? {}) : change),
  });
  if (rows.length === 0) return empty;

  return (
    // biome-ignore-start lint/a11y/noRedundantRoles: as cards, rows and cells are boxes that have lost their roles
    <div className="table-scroll">
      <SortChoice label={label} columns={columns} sorted={table.state.sorting} sort={table.setSorting} />
      <table
        className="table"
        role="table"
        aria-label={label}
        data-dense={columns.length >= DENSE_FROM || undefined}
      >
        <thead role="rowgroup">
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} role="row">
              {onSelect && (
                <th role="columnheader" scope="col" className="table-choose">
                  <Checkbox
                    size="xs"
                    aria-label="Choose all on this page"
                    checked={table.getIsAllPageRowsSelected() && Object.keys(selection ?? {}).length > 0}
                    indeterminate={table.getIsSomePageRowsSelected()}
                    onChange={table.getToggleAllPageRowsSelectedHandler()}
                  />
                </th>
              )}
              {group.headers.map((header) => {
                const sorted = header.column.getIsSorted();
                const meta = header.column.columnDef.meta;
                return (
                  <th
                    key={header.id}
                    role="columnheader"
                    scope="col"
                    data-align={meta?.align}
                    data-wide={meta?.isWide || undefined}
                    data-extra={meta?.isExtra || undefined}
                    aria-sort={sorted ? (sorted === 'asc' ? 'ascending' : 'descending') : undefined}
                  >
                    {header.column.getCanSort() ? (
                      <button
                        type="button"
                        className="table-sort"
                        onClick={header.column.getToggleSortingHandler()}
                      >
                        <table.FlexRender header={header} />
                        {sorted && <span aria-hidden="true">{sorted === 'asc' ? '↑' : '↓'}</span>}
                      </button>
                    ) : (
                      <table.FlexRender header={header} />
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody role="rowgroup">
          {table.getRowModel().rows.map((row) => (
            <tr key={row.id} role="row" data-chosen={row.getIsSelected() || undefined}>
              {onSelect && (
                <td role="cell" className="table-choose">
                  {row.getCanSelect() && (
                    <Checkbox
                      size="xs"
                      aria-label={`Choose ${rowName?.(row.original) ?? row.id}`}
                      checked={row.getIsSelected()}
                      onChange={row.getToggleSelectedHandler()}
                    />
                  )}
                </td>
              )}
              {row.getAllCells().map((cell) => {
                const { header, meta } = cell.column.columnDef;
                return (
                  <td
                    key={cell.id}
                    role="cell"
                    data-label={typeof header === 'string' ? header : undefined}
                    data-align={meta?.align}
                    data-wide={meta?.isWide || undefined}
                    data-extra={meta?.isExtra || undefined}
                    data-title={cell.column.id === title?.id || undefined}
                  >
                    <table.FlexRender cell={cell} />
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
    // biome-ignore-end lint/a11y/noRedundantRoles: as above
  );
}

function define<Row extends object>({
  id,
  name,
  cell,
  value,
  ...look
}: Column<Row>): ColumnDef<typeof features, Row> {
  return {
    id,
    header: name,
    cell: ({ row }) => cell(row.original),
    meta: look,
    ...(value ? { accessorFn: value, sortDescFirst: true, sortFn: sortFn_basic } : { enableSorting: false }),
  } as ColumnDef<typeof features, Row>;
}
