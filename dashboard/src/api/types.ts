/** What the API says on the wire, in the words of its schemas. */

export type Time = string;
export type Status = 'active' | 'disconnected' | 'expired';
export type Outcome = 'success' | 'error' | 'timeout';
export type Level = 'info' | 'warning' | 'error';
export type Role = 'viewer' | 'operator';
export type EndReason = 'operator' | 'client_disconnect' | 'error' | 'server_shutdown';
export type UpdateType = 'heartbeat' | 'tool_call' | 'request';

export interface Me {
  role: Role | null;
  name: string | null;
  auth_required: boolean;
}

export interface Session {
  session_id: string;
  client_type: string;
  client_name: string | null;
  client_version: string | null;
  client_capabilities: Record<string, unknown> | null;
  connected_at: Time;
  last_activity: Time;
  expires_at: Time | null;
  disconnected_at: Time | null;
  total_duration: number | null;
  status: Status;
  disconnect_reason: string | null;
  user_id: string | null;
  user_email: string | null;
  user_name: string | null;
  metadata: Record<string, unknown> | null;
  principal: string;
  era: string;
  protocol_version: string;
  continues: string | null;
  idle_timeout_seconds: number;
  reconnect_count: number;
}

export interface Sessions {
  sessions: Session[];
  active_sessions: number;
  session_timeout: number;
  server_uptime_seconds: number;
  total: number;
  total_is_exact: boolean;
  next_cursor: string | null;
}

export interface Request {
  id: number | null;
  session_id: string;
  method: string;
  tool_name: string | null;
  upstream: string;
  timestamp: Time;
  duration_ms: number;
  duration_us: number;
  status: Outcome;
  error_message: string | null;
  prompt_tokens: number;
  completion_tokens: number;
  estimated_cost: number;
  request_bytes: number;
  response_bytes: number;
  model: string | null;
}

export interface SessionSummary {
  total_requests: number;
  total_errors: number;
  total_prompt_tokens: number;
  total_completion_tokens: number;
  total_tokens: number;
  total_cost: number;
}

export interface SessionPage {
  session: Session;
  requests: Request[];
  next_cursor: string | null;
  summary: SessionSummary;
  continues: string | null;
  continued_by: string | null;
}

export interface Ended {
  success: boolean;
  session_id: string;
  message: string;
  disconnect_reason: string;
  disconnected_at: Time;
  total_duration: number;
}

export interface RecentActivity {
  session_id: string;
  client_type: string;
  status: Status;
  age_minutes: number;
  uptime_minutes: number;
}

export interface SessionsHealth {
  status_breakdown: { active: number; disconnected: number; total: number };
  age_distribution: { healthy: number; aging: number; stale: number };
  connection_health: {
    avg_duration_seconds: number;
    sessions_per_hour: number;
    disconnect_rate_percent: number;
    total_sessions_24h: number;
  };
  recent_activity: RecentActivity[];
  timestamp: Time;
}

export interface Period {
  start_date: Time;
  end_date: Time;
  days: number;
}

export interface Disconnected {
  sessions: (Session & { total_requests: number })[];
  statistics: {
    total_disconnected: number;
    disconnect_reasons: Record<string, number>;
    avg_duration_seconds: number;
    max_duration_seconds: number;
    min_duration_seconds: number;
  };
  period: Period;
}

export interface ServerStatus {
  status: string;
  uptime: number;
  logs: { timestamp: Time; level: string; message: string }[];
  version: string;
  active_sessions: number;
  store: {
    status: string;
    reason: string | null;
    queued_rows: number;
    dropped_rows: number;
    lost_rows: number;
  };
  upstreams: Record<string, { status: string; children: number | null }>;
}

export interface Config {
  host: string;
  port: number;
  transport: string;
  path: string;
  api_port: number;
  upstreams: { name: string; path: string; kind: string }[];
  database: string;
  durability: string;
  session_timeout: number;
  reap_every_seconds: number;
  resume_window_seconds: number;
  call_timeout_seconds: number;
  auth_required: boolean;
  pricing_model: string | null;
}

export interface Usage {
  count: number;
  tokens: number;
  cost: number;
}

export interface UsageSummary {
  period: Period;
  summary: {
    total_requests: number;
    total_prompt_tokens: number;
    total_completion_tokens: number;
    total_tokens: number;
    total_cost: number;
    unique_sessions: number;
  };
  by_tool: Record<string, Usage>;
  by_client: Record<string, Usage>;
  by_user: Record<string, Usage>;
}

export interface Change {
  current: number;
  previous: number;
  change_percent: number | null;
}

export interface ToolTimes {
  tool: string;
  avg_ms: number;
  min_ms: number;
  max_ms: number;
  count: number;
  p50: number;
  p95: number;
  p99: number;
}

export interface Analytics {
  period: Period;
  trends: {
    daily: { date: string; requests: number; tokens: number; cost: number; success_rate: number }[];
    hourly: { hour: number; requests: number; avg_duration: number }[];
  };
  ratios: { success: number; error: number; timeout: number; success_rate: number };
  response_times: { by_tool: ToolTimes[]; overall_avg: number; p50: number; p95: number; p99: number };
  comparison: { requests: Change; success_rate: Change; tokens: Change; cost: Change } | null;
}

export type LogEntry = Request & { level: Level; message: string };

export interface Logs {
  logs: LogEntry[];
  pagination: { total: number; limit: number; offset: number; has_more: boolean };
}

export interface Errors {
  errors: Request[];
  summary: {
    error_count: number;
    timeout_count: number;
    last_error_at: Time | null;
    error_rate_percent: number;
  };
  total: number;
  next_cursor: string | null;
}

export interface Price {
  provider: string;
  model_name: string;
  input_price_per_1k: number;
  output_price_per_1k: number;
  effective_date?: string | null;
}

export interface Pricing {
  pricing: Price[];
  total: number;
  note: string;
}

interface FrameOf<Type extends string, Data> {
  type: Type;
  seq: number;
  session_id?: string;
  data: Data;
  timestamp: Time;
}

export interface Snapshot {
  health: SessionsHealth;
  sessions: Session[];
  total: number;
}

/** A frame of the WebSocket. */
export type Frame =
  | FrameOf<'snapshot', Snapshot>
  | FrameOf<'resync', Snapshot>
  | FrameOf<'session_created', Session>
  | FrameOf<'session_updated', { update_type: UpdateType; last_activity: Time }>
  | FrameOf<'session_disconnected', { reason: string; total_duration: number }>
  | FrameOf<'session_reconnected', { reconnect_count: number }>
  | FrameOf<'request', Request>
  | FrameOf<'health_update', SessionsHealth>;
