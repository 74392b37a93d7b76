import { PageHead } from '@/parts/panel';

export function ErrorsView() {
  return <PageHead title="ErrorsView" />;
}
