//! Every metric by name, with what it counts and, for histograms, where its buckets end.
//!
//! Names of OpenTelemetry's conventions for MCP are written as Prometheus has them: `mcp.server.operation.duration`
//! in seconds is `mcp_server_operation_duration_seconds`, the attribute `mcp.method.name` the label
//! `mcp_method_name`.

/// A metric's name and what it counts.
pub type Described = (&'static str, &'static str);

pub const OPERATION_DURATION: &str = "mcp_server_operation_duration_seconds";
pub const SESSION_DURATION: &str = "mcp_server_session_duration_seconds";
pub const COMMIT_DURATION: &str = "archon_store_commit_duration_seconds";
pub const BATCH_ROWS: &str = "archon_store_batch_rows";

pub const REQUESTS: &str = "archon_requests_total";
pub const REQUEST_BYTES: &str = "archon_request_bytes_total";
pub const RESPONSE_BYTES: &str = "archon_response_bytes_total";
pub const TOKENS: &str = "archon_tokens_total";
pub const COST: &str = "archon_estimated_cost_microdollars_total";
pub const SESSIONS_STARTED: &str = "archon_sessions_started_total";
pub const SESSIONS_ENDED: &str = "archon_sessions_ended_total";
pub const RECOVERED: &str = "archon_sessions_recovered_total";
pub const TIMED_OUT_BEFORE: &str = "archon_sessions_timed_out_before_start_total";
pub const REAPED: &str = "archon_sessions_reaped_total";
pub const SWEEPS: &str = "archon_reaper_sweeps_total";
pub const INTERRUPTED: &str = "archon_calls_interrupted_total";
pub const STORE_ERRORS: &str = "archon_store_errors_total";
pub const ROWS_DROPPED: &str = "archon_rows_dropped_total";
pub const ROWS_LOST: &str = "archon_rows_lost_total";
pub const STATE_LOST: &str = "archon_sessions_without_state_total";
pub const REFUSALS: &str = "archon_refusals_total";
pub const SPANS: &str = "archon_spans_total";

pub const SESSIONS_ACTIVE: &str = "archon_sessions_active";
pub const ROWS_QUEUED: &str = "archon_rows_queued";
pub const EVENT_BYTES: &str = "archon_stream_event_bytes";
pub const STORE_UP: &str = "archon_store_up";
pub const UPSTREAM_UP: &str = "archon_upstream_up";
pub const CHILDREN: &str = "archon_upstream_children";
pub const CONNECTIONS: &str = "archon_connections_open";
pub const BUILD_INFO: &str = "archon_build_info";
pub const START_TIME: &str = "process_start_time_seconds";
pub const MEMORY: &str = "process_resident_memory_bytes";
pub const OPEN_FILES: &str = "process_open_fds";

/// Counters that exist from the start, so that a rate over them begins at zero.
pub const COUNTERS: &[Described] = &[
    (RECOVERED, "Active sessions that were found in the store at start."),
    (TIMED_OUT_BEFORE, "Sessions that had timed out before the start, and were ended after it."),
    (REAPED, "Sessions that the reaper ended after an idle timeout."),
    (SWEEPS, "How often the reaper looked."),
    (INTERRUPTED, "Calls that a crash interrupted, found at start: their outcome is unknown."),
    (STORE_ERRORS, "Failed attempts to write to the store; each is tried again."),
    (ROWS_DROPPED, "Rows dropped because too many waited for the store."),
    (ROWS_LOST, "Sessions and requests in a database file that was removed while it was open."),
];

/// Counters with labels: each exists once something was counted.
pub const LABELLED_COUNTERS: &[Described] = &[
    (REQUESTS, "Requests that have ended, by status (success, error, timeout)."),
    (REQUEST_BYTES, "Bytes of requests' bodies."),
    (RESPONSE_BYTES, "Bytes sent in answer."),
    (TOKENS, "Estimated tokens, by kind (prompt, completion)."),
    (COST, "Estimated cost in millionths of a dollar."),
    (SESSIONS_STARTED, "Sessions that began."),
    (SESSIONS_ENDED, "Sessions that ended, by reason."),
    (
        STATE_LOST,
        "Sessions whose calls run without the upstream state of those before, since their clients show no proof.",
    ),
    (REFUSALS, "Requests that were turned away before they had a place in a session, by cause."),
    (
        SPANS,
        "Spans of requests, by result (exported, failed, dropped); only where they are traced.",
    ),
];

/// Read when they are asked for.
pub const GAUGES: &[Described] = &[
    (SESSIONS_ACTIVE, "Active sessions."),
    (ROWS_QUEUED, "Rows that wait to be written."),
    (EVENT_BYTES, "Bytes of events kept in memory for clients that come back to their streams."),
    (STORE_UP, "1 while the store can be written, 0 while it fails."),
    (
        UPSTREAM_UP,
        "1 if the upstream answered last, 0 if it did not; absent before the first call.",
    ),
    (CHILDREN, "Processes of a command."),
    (CONNECTIONS, "Open connections, by port (mcp, api)."),
    (BUILD_INFO, "1, with the version that runs."),
    (START_TIME, "When this process started, in seconds since 1970."),
    (MEMORY, "Resident memory."),
    (OPEN_FILES, "Open file descriptors."),
];

/// Histograms and where their buckets end.
pub const HISTOGRAMS: &[(Described, &[f64])] = &[
    (
        (
            OPERATION_DURATION,
            "How long requests took, from their arrival to the end of their answer.",
        ),
        // As the conventions say.
        &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    ),
    (
        (SESSION_DURATION, "How long sessions were, from their start to their end."),
        // As the conventions say, and some more: a session that times out is older than their last.
        &[
            0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
            1800.0, 3600.0, 14400.0, 86400.0,
        ],
    ),
    (
        (COMMIT_DURATION, "How long the store took to write a batch."),
        &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0],
    ),
    (
        (BATCH_ROWS, "Rows of requests in a batch."),
        &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0],
    ),
];
