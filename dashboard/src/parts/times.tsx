/** Moments on the page: how long ago, ticking, or when. The exact one is always there to be pointed at. */
import { exactMoment, minuteMoment, secondsSince, shortMoment, span } from '@/format/time';
import { useNow } from './clock';

export function Ago({ time }: { time: string }) {
  const now = useNow();
  return (
    <time dateTime={time} title={exactMoment(time)}>
      {span(secondsSince(time, now))}
    </time>
  );
}

export function When({ time, toTheMinute = false }: { time: string; toTheMinute?: boolean }) {
  const now = useNow();
  return (
    <time dateTime={time} title={exactMoment(time)}>
      {toTheMinute ? minuteMoment(time, now) : shortMoment(time, now)}
    </time>
  );
}
