/** What is shown instead of a page that does not exist, or that could not be shown. */
import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';
import { Empty, Failure } from '@/parts/answers';

export function Missing() {
  return (
    <Empty title="Page not found.">
      <Link to="/">Go to the overview</Link>
    </Empty>
  );
}

/** How browsers and the bundler say that a part of the page is not there any more. */
const PART_GONE =
  /dynamically imported module|Importing a module|error loading dynamically|Unable to preload/i;

/** In the tab's storage: the build that has been reloaded, so that none is twice. */
const RELOADED = 'archon-reloaded';

/** After an upgrade, the parts of the page that are not loaded yet are those of another version. */
export function Broken({ error: thrown }: { error: unknown }) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const isOldPage = PART_GONE.test(error.message);
  useEffect(() => {
    if (isOldPage) reloadOnce(window.sessionStorage, () => window.location.reload());
  }, [isOldPage]);
  const shown = isOldPage ? new Error('a newer version is running; reload the page') : error;
  return <Failure error={shown} retry={() => window.location.reload()} />;
}

/** Reloads a page of an older build. If that brings the same build again, what is missing is missing there, too. */
export function reloadOnce(storage: Storage, reload: () => void, build: string = import.meta.url): void {
  try {
    if (storage.getItem(RELOADED) === build) return;
    storage.setItem(RELOADED, build);
  } catch {
    return; // Without storage nobody would know that it was tried.
  }
  reload();
}
