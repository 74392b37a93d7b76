/** What is shown instead of a page that does not exist, or that could not be shown. */
import { Link } from '@tanstack/react-router';
import { Empty, Failure } from '@/parts/answers';

export function Missing() {
  return (
    <Empty title="There is no such page.">
      <Link to="/">Go to the overview</Link>
    </Empty>
  );
}

/** After an upgrade, the parts of the page that are not loaded yet are those of another version. */
export function Broken({ error: thrown }: { error: unknown }) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const isOldPage = /dynamically imported module|Importing a module/i.test(error.message);
  const shown = isOldPage ? new Error('a newer version is running; reload the page') : error;
  return <Failure error={shown} retry={() => window.location.reload()} />;
}
