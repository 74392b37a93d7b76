import { PageHead } from '@/parts/panel';

export function Costs() {
  return <PageHead title="Costs" />;
}
