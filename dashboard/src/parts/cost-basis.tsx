/** What estimated costs assume, to stand beside them. */
import { useQuery } from '@tanstack/react-query';
import { config } from '@/api/queries';

export function CostBasis() {
  const { data } = useQuery(config);
  return (
    <span className="quiet">
      cost: results at the input price{data?.pricing_model ? ` of ${data.pricing_model}` : ''}, arguments at
      its output price
    </span>
  );
}
