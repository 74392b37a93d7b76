/** Looks for words, once typing pauses. */
import { CloseButton, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useState } from 'react';

/** Typing asks once it pauses. */
const PAUSE_MS = 250;

interface SearchFieldProps {
  label: string;
  placeholder: string;
  text: string | undefined;
  find: (text: string | undefined) => void;
}

export function SearchField({ label, placeholder, text, find }: SearchFieldProps) {
  const [typed, setTyped] = useState(text ?? '');
  const findSoon = useDebouncedCallback((words: string) => find(words === '' ? undefined : words), PAUSE_MS);
  const type = (words: string) => {
    setTyped(words);
    findSoon(words);
  };
  return (
    <TextInput
      aria-label={label}
      placeholder={placeholder}
      maxLength={200}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
      rightSection={
        typed !== '' && <CloseButton size="xs" aria-label="Clear the search" onClick={() => type('')} />
      }
    />
  );
}
