/** A question over the page. Closed, it gives the focus back to what asked it, or to the page if that is gone. */
import { Modal } from '@mantine/core';
import { type ReactNode, useEffect, useState } from 'react';

interface DialogProps {
  title: string;
  close: () => void;
  children: ReactNode;
}

export function Dialog({ title, close, children }: DialogProps) {
  const [asker] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      // What asked may be about to go, or to be of no use any more: that is known after this render.
      requestAnimationFrame(() => {
        if (asker instanceof HTMLElement && asker.isConnected && !asker.matches(':disabled')) asker.focus();
        else document.getElementById('content')?.focus({ preventScroll: true });
      });
    },
    [asker],
  );
  return (
    <Modal
      opened
      onClose={close}
      title={title}
      returnFocus={false}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {children}
    </Modal>
  );
}
