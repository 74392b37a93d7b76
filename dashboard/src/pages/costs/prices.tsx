/** Prices of models, and changing them. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { config, me, pricing } from '@/api/queries';
import type { Price } from '@/api/types';
import { NOTHING } from '@/format/numbers';
import { Answer, Empty } from '@/parts/answers';
import { type Column, DataTable } from '@/parts/data-table';
import { Panel } from '@/parts/panel';
import { PriceForm } from './price-form';

const DOLLARS = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 3 });

const perMillion = (dollars: number | null | undefined) =>
  dollars == null ? NOTHING : DOLLARS.format(dollars);

export function Prices() {
  const query = useQuery(pricing);
  const { data: who } = useQuery(me);
  const { data: settings } = useQuery(config);
  const [editing, setEditing] = useState<Price | 'new'>();
  const canEdit = who?.role === 'operator';
  const columns = useMemo(
    () => columnsFor(settings?.pricing_model ?? null, canEdit ? setEditing : undefined),
    [settings?.pricing_model, canEdit],
  );
  return (
    <Panel
      title="Prices"
      aside={
        canEdit && (
          <Button variant="default" size="compact-xs" onClick={() => setEditing('new')}>
            Add a price…
          </Button>
        )
      }
      isFlush
    >
      <Answer query={query}>
        {(data) => (
          <DataTable
            label="Prices"
            columns={columns}
            rows={data.pricing}
            rowId={(price) => `${price.provider} ${price.model_name} ${price.effective_date}`}
            empty={<Empty title="No prices.">Without a price, requests cost nothing.</Empty>}
          />
        )}
      </Answer>
      {editing && (
        <PriceForm price={editing === 'new' ? undefined : editing} close={() => setEditing(undefined)} />
      )}
    </Panel>
  );
}

function columnsFor(
  modelInUse: string | null,
  edit: ((price: Price) => void) | undefined,
): readonly Column<Price>[] {
  const columns: Column<Price>[] = [
    {
      id: 'model',
      name: 'Model',
      isWide: true,
      cell: (price) => (
        <>
          <span className="mono">{price.model_name}</span>
          {price.model_name === modelInUse && <span className="quiet"> used for estimates</span>}
        </>
      ),
    },
    { id: 'provider', name: 'Provider', cell: (price) => price.provider },
    {
      id: 'in',
      name: '$ per million in',
      align: 'number',
      cell: (price) => perMillion(price.input_price_per_million),
    },
    {
      id: 'out',
      name: '$ per million out',
      align: 'number',
      cell: (price) => perMillion(price.output_price_per_million),
    },
    { id: 'since', name: 'From', align: 'number', cell: (price) => price.effective_date },
  ];
  if (edit) {
    columns.push({
      id: 'edit',
      name: 'Change',
      cell: (price) => (
        <Button
          variant="subtle"
          size="compact-xs"
          aria-label={`Change the price of ${price.model_name}`}
          onClick={() => edit(price)}
        >
          Change…
        </Button>
      ),
    });
  }
  return columns;
}
