import { PageHead } from '@/parts/panel';

export function SessionView() {
  return <PageHead title="SessionView" />;
}
