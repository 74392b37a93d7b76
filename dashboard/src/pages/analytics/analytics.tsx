import { PageHead } from '@/parts/panel';

export function AnalyticsView() {
  return <PageHead title="AnalyticsView" />;
}
