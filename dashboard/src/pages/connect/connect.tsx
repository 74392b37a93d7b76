import { PageHead } from '@/parts/panel';

export function Connect() {
  return <PageHead title="Connect" />;
}
