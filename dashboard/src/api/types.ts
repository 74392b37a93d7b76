/** The API's schemas by their names. `schema.d.ts` is made from the description of the API by `npm run types`. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type Analytics = Schemas['Analytics'];
export type Attempt = Schemas['Attempt'];
export type ChainedSession = Schemas['ChainedSession'];
export type Change = Schemas['Change'];
export type Disconnected = Schemas['Disconnected'];
export type Ended = Schemas['Ended'];
export type EndReason = Schemas['EndReason'];
export type Errors = Schemas['Errors'];
export type Frame = Schemas['Frame'];
export type Level = Schemas['Level'];
export type LogEntry = Schemas['LogEntry'];
export type Logs = Schemas['Logs'];
export type Me = Schemas['Me'];
export type Outcome = Schemas['Outcome'];
export type Period = Schemas['Period'];
export type Price = Schemas['Price'];
export type Pricing = Schemas['Pricing'];
export type RecentActivity = Schemas['RecentActivity'];
export type Refusal = Schemas['Refusal'];
export type Refusals = Schemas['Refusals'];
export type Request = Schemas['Request'];
export type Role = Schemas['Role'];
export type ServiceConfig = Schemas['ServiceConfig'];
export type ServiceStatus = Schemas['ServiceStatus'];
export type Session = Schemas['Session'];
export type SessionPage = Schemas['SessionPage'];
export type Sessions = Schemas['Sessions'];
export type SessionsHealth = Schemas['SessionsHealth'];
export type Snapshot = Schemas['Snapshot'];
export type StoredSession = Schemas['StoredSession'];
export type Status = Schemas['Status'];
export type ToolTimes = Schemas['ToolTimes'];
export type ToolUsage = Schemas['ToolUsage'];
export type UpdateType = Schemas['UpdateType'];
export type Usage = Schemas['Usage'];
export type UsageSummary = Schemas['UsageSummary'];

/** RFC 3339 in UTC, with a fraction of fixed width: later ones are greater as texts. */
export type Time = string;
