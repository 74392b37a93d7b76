/** A text that is there to be copied. */
import { CopyButton } from '@mantine/core';
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
