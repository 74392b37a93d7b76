/** A client: its mark, its product, its version. */
import { ClientMark } from './client-mark';

interface ClientNameProps {
  type: string;
  version?: string | null;
}

export function ClientName({ type, version }: ClientNameProps) {
  return (
    <span className="client-name">
      <ClientMark type={type} />
      <span className="cut">{type}</span>
      {version && <span className="quiet client-version">{version}</span>}
    </span>
  );
}
