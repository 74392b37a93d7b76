/** Adds a price, or changes one from a day on. */
import { Button, NumberInput, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { answerOf, api } from '@/api/call';
import { pricing } from '@/api/queries';
import type { Price } from '@/api/types';
import { Failure } from '@/parts/answers';
import { Dialog } from '@/parts/dialog';
import '@/parts/end-sessions.css';

/** The API's own bound, in dollars per million tokens. */
const PRICE_MAX = 1_000_000;

interface PriceFormProps {
  /** The price to change; a new one if left out. */
  price: Price | undefined;
  close: () => void;
}

export function PriceForm({ price, close }: PriceFormProps) {
  const client = useQueryClient();
  const [provider, setProvider] = useState(price?.provider ?? '');
  const [model, setModel] = useState(price?.model_name ?? '');
  const [input, setInput] = useState<number | string>(price?.input_price_per_million ?? '');
  const [output, setOutput] = useState<number | string>(price?.output_price_per_million ?? '');
  const [from, setFrom] = useState('');
  const save = useMutation({
    mutationFn: () =>
      answerOf(
        api.PUT('/api/mcp/pricing', {
          body: {
            pricing: [
              {
                provider: provider.trim(),
                model_name: model.trim(),
                input_price_per_million: Number(input),
                output_price_per_million: Number(output),
                ...(from === '' ? {} : { effective_date: from }),
              },
            ],
          },
        }),
      ),
    onSuccess: (answer) => {
      client.setQueryData(pricing.queryKey, answer);
      close();
    },
  });
  const isComplete = provider.trim() !== '' && model.trim() !== '' && input !== '' && output !== '';
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Dialog title={price ? `Price of ${price.model_name}` : 'Add a price'} close={close}>
      <form className="end-sessions" onSubmit={submit}>
        {!price && (
          <>
            <TextInput
              label="Provider"
              required
              maxLength={128}
              value={provider}
              onChange={(event) => setProvider(event.currentTarget.value)}
              data-autofocus
            />
            <TextInput
              label="Model"
              required
              maxLength={128}
              value={model}
              onChange={(event) => setModel(event.currentTarget.value)}
            />
          </>
        )}
        <NumberInput
          label="US dollars per million input tokens"
          description="Model input: tool results."
          required
          min={0}
          max={PRICE_MAX}
          decimalScale={3}
          hideControls
          value={input}
          onChange={setInput}
        />
        <NumberInput
          label="US dollars per million output tokens"
          description="Model output: tool calls."
          required
          min={0}
          max={PRICE_MAX}
          decimalScale={3}
          hideControls
          value={output}
          onChange={setOutput}
        />
        <TextInput
          type="date"
          label="Holds from"
          description="Default: today. Earlier estimates do not change."
          value={from}
          onChange={(event) => setFrom(event.currentTarget.value)}
        />
        {save.isError && <Failure error={save.error} />}
        <div className="end-actions">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending} disabled={!isComplete}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
