/** What stands where an answer is awaited, is empty, or did not come. */
import { Button } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Problem } from '@/api/problem';
import './answers.css';

interface AnswerProps<Data> {
  query: UseQueryResult<Data, Error>;
  /** How many rows to hold the place of. */
  rows?: number;
  children: (data: Data) => ReactNode;
}

/** Shows a query's data; before it, its place; instead of it, why it is not there. What was there stays. */
export function Answer<Data>({ query, rows = 4, children }: AnswerProps<Data>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <Failure error={query.error} retry={() => void query.refetch()} isOld />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return <Loading rows={rows} />;
}

export function Loading({ rows }: { rows: number }) {
  return (
    <div className="loading" role="status">
      <span className="only-read-aloud">Loading</span>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows of nothing are all the same
        <span key={row} className="loading-row" aria-hidden="true" />
      ))}
    </div>
  );
}

/** Nothing to show: says why that may be, or what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <p className="quiet">{children}</p>}
    </div>
  );
}

interface FailureProps {
  error: Error;
  retry?: () => void;
  /** Whether what is shown beside it is from before. */
  isOld?: boolean;
}

export function Failure({ error, retry, isOld = false }: FailureProps) {
  const hint = error instanceof Problem ? error.hint : '';
  return (
    <div className="failure" role="alert">
      <div>
        <p className="failure-title">
          {isOld ? 'Not up to date: ' : 'Could not load this: '}
          {error.message}
        </p>
        {hint !== '' && <p>{hint}</p>}
      </div>
      {retry && (
        <Button size="compact-xs" variant="default" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}
