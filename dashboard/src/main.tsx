/** Starts the dashboard. */
import { notifyManager } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { makeClient } from './api/client';
import { App } from './app';
import { beforePaint } from './live/paint';
import { makeRouter } from './routes';
import './style/mantine.css';
import './style/tokens.css';
import './style/page.css';

// Answers change the page together with events and clocks.
notifyManager.setScheduler(beforePaint);

const root = document.getElementById('root');

if (root) {
  createRoot(root).render(
    <StrictMode>
      <App client={makeClient()} router={makeRouter()} />
    </StrictMode>,
  );
}
