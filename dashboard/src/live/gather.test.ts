import { expect, it } from 'vitest';
import { snapshotFrame } from '../../tests/frames';
import { FRAMES_MAX, Gather, type Gathered } from './gather';

function gather() {
  const handed: Gathered[] = [];
  const due: (() => void)[] = [];
  const gathering = new Gather(
    (gathered) => handed.push(gathered),
    (run) => due.push(run),
  );
  return { handed, due, gathering };
}

it('hands a burst on at once, and in order', () => {
  const { handed, due, gathering } = gather();
  for (let seq = 0; seq < 5; seq++) gathering.add({ ...snapshotFrame(), seq });
  expect(handed).toEqual([]);
  expect(due).toHaveLength(1);
  due[0]?.();
  expect(handed).toHaveLength(1);
  expect(handed[0]?.frames.map((frame) => frame.seq)).toEqual([0, 1, 2, 3, 4]);
  expect(handed[0]?.hasGap).toBe(false);
});

it('keeps no more than its bound, and says that it dropped some', () => {
  const { handed, due, gathering } = gather();
  const frame = snapshotFrame();
  for (let n = 0; n < FRAMES_MAX + 1; n++) gathering.add(frame);
  due[0]?.();
  expect(handed[0]?.frames).toHaveLength(FRAMES_MAX);
  expect(handed[0]?.hasGap).toBe(true);
  gathering.add(frame);
  due[1]?.();
  expect(handed[1], 'the gap is told once').toMatchObject({ hasGap: false });
});
