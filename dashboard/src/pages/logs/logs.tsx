import { PageHead } from '@/parts/panel';

export function LogsView() {
  return <PageHead title="LogsView" />;
}
