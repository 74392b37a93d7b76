import { PageHead } from '@/parts/panel';

export function Tools() {
  return <PageHead title="Tools" />;
}
