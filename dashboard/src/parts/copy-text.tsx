/** Texts that are there to be copied. */
import { Button, CopyButton } from '@mantine/core';
import './copy-text.css';

export function CopyText({ text }: { text: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <button
          type="button"
          className="copy-text mono"
          onClick={copy}
          title="Copy"
          aria-label={`Copy ${text}`}
        >
          {text}
          <span className="copy-said" role="status">
            {copied ? 'copied' : ''}
          </span>
        </button>
      )}
    </CopyButton>
  );
}

export function CopyButtonFor({ text }: { text: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button variant="default" size="compact-xs" onClick={copy}>
          {copied ? 'Copied' : 'Copy'}
        </Button>
      )}
    </CopyButton>
  );
}
