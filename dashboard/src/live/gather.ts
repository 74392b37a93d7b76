/** Gathers frames and hands them on at most once per painted frame, so that a burst costs one render. */
import type { Frame } from '@/api/types';
import { beforePaint } from './paint';

/** More than this between two paints is not worth reading one by one: everything is fetched anew. */
export const FRAMES_MAX = 2_000;

export interface Gathered {
  frames: Frame[];
  /** Whether frames were dropped. */
  hasGap: boolean;
}

export class Gather {
  #frames: Frame[] = [];
  #hasGap = false;
  #isDue = false;
  readonly #hand: (gathered: Gathered) => void;
  readonly #soon: (run: () => void) => void;

  constructor(hand: (gathered: Gathered) => void, soon: (run: () => void) => void = beforePaint) {
    this.#hand = hand;
    this.#soon = soon;
  }

  add(frame: Frame): void {
    if (this.#frames.length < FRAMES_MAX) this.#frames.push(frame);
    else this.#hasGap = true;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#soon(() => this.#flush());
  }

  #flush(): void {
    const gathered = { frames: this.#frames, hasGap: this.#hasGap };
    this.#frames = [];
    this.#hasGap = false;
    this.#isDue = false;
    this.#hand(gathered);
  }
}
