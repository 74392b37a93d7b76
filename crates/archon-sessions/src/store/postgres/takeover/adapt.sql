-- Adapts tables that are there before our first step, so that it and all later ones can follow. It runs in the transaction of the
-- migration: whatever does not fit leaves everything as it was.

-- Types can be changed only where no view and no policy is in the way: those are put aside, and come back at the end.
CREATE TEMPORARY TABLE archon_put_aside (
    place      INTEGER GENERATED ALWAYS AS IDENTITY,
    statement  TEXT NOT NULL
) ON COMMIT DROP;

DO $$
DECLARE
    ours CONSTANT OID[] := ARRAY(
        SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
            AND relname IN ('archon_mcp_sessions', 'archon_mcp_requests', 'archon_llm_pricing'));
    found RECORD;
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = ANY (ours) AND attname = 'session_id'
                   AND atttypid <> 'uuid'::regtype)
    THEN
        RAISE EXCEPTION 'a session_id that is no UUID';
    END IF;

    -- A user's id becomes text; Supabase's function gives a UUID.
    FOR found IN
        SELECT p.*, c.oid::regclass AS on_table,
               CASE WHEN p.qual ~ '\muser_id\M' THEN replace(p.qual, 'auth.uid()', '(auth.uid())::text') ELSE p.qual END
                   AS used,
               CASE WHEN p.with_check ~ '\muser_id\M' THEN replace(p.with_check, 'auth.uid()', '(auth.uid())::text') ELSE p.with_check END
                   AS checked
        FROM pg_policies p JOIN pg_class c ON c.relname = p.tablename AND c.relnamespace = p.schemaname::regnamespace
        WHERE c.oid = ANY (ours)
    LOOP
        INSERT INTO archon_put_aside (statement) VALUES (
            format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', found.policyname, found.on_table, found.permissive,
                   found.cmd, (SELECT string_agg(CASE role WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(role) END, ', ')
                               FROM unnest(found.roles) AS role))
            || coalesce(' USING (' || found.used || ')', '') || coalesce(' WITH CHECK (' || found.checked || ')', ''));
        EXECUTE format('DROP POLICY %I ON %s', found.policyname, found.on_table);
    END LOOP;

    FOR found IN
        WITH RECURSIVE dependent (view, depth) AS (
            SELECT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (ours)
            UNION
            SELECT r.ev_class, depth + 1 FROM dependent
            JOIN pg_depend d ON d.refobjid = view AND d.refclassid = 'pg_class'::regclass
                AND d.classid = 'pg_rewrite'::regclass
            JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> view
        )
        SELECT c.oid::regclass AS name, c.relkind, c.reloptions, pg_get_viewdef(c.oid) AS definition, c.relacl
        FROM (SELECT view, max(depth) AS depth FROM dependent GROUP BY view) AS each
        JOIN pg_class c ON c.oid = view AND c.relkind IN ('v', 'm') ORDER BY depth DESC
    LOOP
        INSERT INTO archon_put_aside (statement)
        SELECT format('GRANT %s ON %s TO %s', privilege_type, found.name,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM aclexplode(found.relacl) WHERE grantee <> grantor;
        INSERT INTO archon_put_aside (statement) VALUES (
            format('CREATE %s %s%s AS %s', CASE found.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END,
                   found.name, coalesce(' WITH (' || array_to_string(found.reloptions, ', ') || ')', ''),
                   found.definition));
        EXECUTE format('DROP %s %s', CASE found.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, found.name);
    END LOOP;

    -- What says which statuses there are says it in the words of another program.
    FOR found IN
        SELECT conname, conrelid::regclass AS on_table FROM pg_constraint
        WHERE conrelid = ANY (ours) AND contype = 'c' AND pg_get_constraintdef(oid) ~ '\mstatus\M'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.on_table, found.conname);
    END LOOP;

    -- Clients send what they like: no name may be too long for its column. Times without a zone are in UTC.
    FOR found IN
        SELECT a.attrelid::regclass AS in_table, a.attname AS name, t.typname AS type
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = ANY (ours) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
          AND (t.typname IN ('varchar', 'bpchar', 'timestamp', 'json') OR (a.attname = 'user_id' AND t.typname = 'uuid')
               OR (a.attname = 'id' AND t.typname = 'int4'
                   AND a.attrelid = to_regclass('archon_mcp_requests')))
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', found.in_table, found.name, CASE found.type
            WHEN 'timestamp' THEN format('TIMESTAMPTZ USING %I AT TIME ZONE ''UTC''', found.name)
            WHEN 'json' THEN 'JSONB' WHEN 'int4' THEN 'BIGINT' ELSE 'TEXT' END);
    END LOOP;
END $$;

ALTER TABLE IF EXISTS archon_mcp_sessions
    ADD COLUMN IF NOT EXISTS client_type TEXT,
    ADD COLUMN IF NOT EXISTS client_name TEXT,
    ADD COLUMN IF NOT EXISTS client_version TEXT,
    ADD COLUMN IF NOT EXISTS client_capabilities JSONB,
    ADD COLUMN IF NOT EXISTS connected_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS last_activity TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS disconnected_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS total_duration INTEGER,
    ADD COLUMN IF NOT EXISTS status TEXT,
    ADD COLUMN IF NOT EXISTS disconnect_reason TEXT,
    ADD COLUMN IF NOT EXISTS user_id TEXT,
    ADD COLUMN IF NOT EXISTS user_email TEXT,
    ADD COLUMN IF NOT EXISTS user_name TEXT,
    ADD COLUMN IF NOT EXISTS metadata JSONB,
    ADD COLUMN IF NOT EXISTS reconnect_token_hash TEXT,
    ADD COLUMN IF NOT EXISTS reconnect_expires_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS reconnect_count INTEGER,
    ADD COLUMN IF NOT EXISTS principal TEXT NOT NULL DEFAULT 'anonymous',
    ADD COLUMN IF NOT EXISTS era TEXT NOT NULL DEFAULT 'legacy',
    ADD COLUMN IF NOT EXISTS protocol_version TEXT NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS continues UUID,
    ADD COLUMN IF NOT EXISTS idle_timeout_seconds BIGINT NOT NULL DEFAULT 300,
    ADD COLUMN IF NOT EXISTS revision BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS fingerprint TEXT,
    ADD COLUMN IF NOT EXISTS total_requests BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS total_errors BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS total_timeouts BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS total_prompt_tokens BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS total_completion_tokens BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS total_cost_micros BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS upstreams TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS last_request_day TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS client_key_hash TEXT;

ALTER TABLE IF EXISTS archon_mcp_requests
    ADD COLUMN IF NOT EXISTS method TEXT,
    ADD COLUMN IF NOT EXISTS tool_name TEXT,
    ADD COLUMN IF NOT EXISTS prompt_tokens INTEGER,
    ADD COLUMN IF NOT EXISTS completion_tokens INTEGER,
    ADD COLUMN IF NOT EXISTS estimated_cost NUMERIC(10, 6),
    ADD COLUMN IF NOT EXISTS timestamp TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS duration_ms INTEGER,
    ADD COLUMN IF NOT EXISTS status TEXT,
    ADD COLUMN IF NOT EXISTS error_message TEXT,
    ADD COLUMN IF NOT EXISTS upstream TEXT NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS duration_us BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS request_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS response_bytes BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS model TEXT;

DO $$
BEGIN
    IF to_regclass('archon_mcp_sessions') IS NOT NULL THEN
        -- A session that was called idle is active until somebody ends it, as ours are. Other words are of programs that
        -- nobody knows.
        UPDATE archon_mcp_sessions SET
            client_type = coalesce(client_type, 'unknown-client'),
            connected_at = coalesce(connected_at, last_activity, disconnected_at, now()),
            last_activity = coalesce(last_activity, disconnected_at, connected_at, now()),
            status = CASE WHEN status IN ('active', 'disconnected', 'expired') THEN status
                          WHEN coalesce(status, 'idle') <> 'idle' THEN 'expired'
                          WHEN disconnected_at IS NULL THEN 'active' ELSE 'disconnected' END,
            total_duration = CASE WHEN total_duration IS NOT NULL OR disconnected_at IS NULL THEN total_duration
                ELSE least(greatest(extract(epoch FROM disconnected_at - connected_at), 0), 2147483647)::integer END,
            reconnect_count = coalesce(reconnect_count, 0);
        ALTER TABLE archon_mcp_sessions
            ALTER COLUMN session_id SET DEFAULT gen_random_uuid(),
            ALTER COLUMN client_type SET NOT NULL, ALTER COLUMN client_type SET DEFAULT 'unknown-client',
            ALTER COLUMN connected_at SET NOT NULL, ALTER COLUMN connected_at SET DEFAULT now(),
            ALTER COLUMN last_activity SET NOT NULL, ALTER COLUMN last_activity SET DEFAULT now(),
            ALTER COLUMN status SET NOT NULL, ALTER COLUMN status SET DEFAULT 'active',
            ALTER COLUMN reconnect_count SET NOT NULL,
            ALTER COLUMN reconnect_count SET DEFAULT 0,
            ADD CONSTRAINT archon_mcp_sessions_status_check CHECK (status IN ('active', 'disconnected', 'expired'));
    END IF;
    IF to_regclass('archon_mcp_requests') IS NOT NULL THEN
        -- It would call ended sessions active again.
        DROP TRIGGER IF EXISTS trigger_update_session_status ON archon_mcp_requests;
        UPDATE archon_mcp_requests r SET
            method = coalesce(method, ''),
            prompt_tokens = coalesce(prompt_tokens, 0),
            completion_tokens = coalesce(completion_tokens, 0),
            estimated_cost = coalesce(nullif(estimated_cost, 'NaN'), 0),
            timestamp = coalesce(timestamp, (SELECT s.connected_at FROM archon_mcp_sessions s
                                             WHERE s.session_id = r.session_id), now()),
            duration_ms = coalesce(duration_ms, 0),
            duration_us = CASE duration_us WHEN 0 THEN coalesce(duration_ms, 0)::bigint * 1000 ELSE duration_us END,
            status = CASE WHEN status IN ('success', 'error', 'timeout') THEN status
                          WHEN status IS NULL THEN 'success' ELSE 'error' END;
        ALTER TABLE archon_mcp_requests
            ALTER COLUMN method SET NOT NULL,
            ALTER COLUMN prompt_tokens SET NOT NULL, ALTER COLUMN prompt_tokens SET DEFAULT 0,
            ALTER COLUMN completion_tokens SET NOT NULL, ALTER COLUMN completion_tokens SET DEFAULT 0,
            ALTER COLUMN estimated_cost SET NOT NULL, ALTER COLUMN estimated_cost SET DEFAULT 0,
            ALTER COLUMN timestamp SET NOT NULL, ALTER COLUMN timestamp SET DEFAULT now(),
            ALTER COLUMN duration_ms SET NOT NULL, ALTER COLUMN duration_ms SET DEFAULT 0,
            ALTER COLUMN status SET NOT NULL, ALTER COLUMN status SET DEFAULT 'success',
            ADD CONSTRAINT archon_mcp_requests_status_check CHECK (status IN ('success', 'error', 'timeout'));
        -- Ours are numbered in the order in which they came.
        IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'archon_mcp_requests'::regclass AND attname = 'id') THEN
            ALTER TABLE archon_mcp_requests ADD COLUMN id BIGINT;
            UPDATE archon_mcp_requests r SET id = numbered.id
            FROM (SELECT ctid AS place, row_number() OVER (ORDER BY timestamp, ctid) AS id
                  FROM archon_mcp_requests) AS numbered WHERE r.ctid = numbered.place;
            ALTER TABLE archon_mcp_requests ALTER COLUMN id SET NOT NULL;
            ALTER TABLE archon_mcp_requests ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;
            CREATE UNIQUE INDEX archon_mcp_requests_id ON archon_mcp_requests (id);
        ELSIF pg_get_serial_sequence('archon_mcp_requests', 'id') IS NULL THEN
            ALTER TABLE archon_mcp_requests ALTER COLUMN id SET NOT NULL;
            ALTER TABLE archon_mcp_requests ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;
        ELSE
            EXECUTE 'ALTER SEQUENCE ' || pg_get_serial_sequence('archon_mcp_requests', 'id') || ' AS BIGINT';
        END IF;
        PERFORM setval(pg_get_serial_sequence('archon_mcp_requests', 'id'),
                       (SELECT coalesce(max(id), 0) + 1 FROM archon_mcp_requests), FALSE);
    END IF;
    IF to_regclass('archon_llm_pricing') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_index i WHERE indrelid = to_regclass('archon_llm_pricing') AND indisunique AND indpred IS NULL
            AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
                 WHERE attrelid = i.indrelid AND attnum = ANY (i.indkey::int2[]))
                = ARRAY['effective_date', 'model_name', 'provider'])
    THEN
        CREATE UNIQUE INDEX archon_llm_pricing_of_a_day
            ON archon_llm_pricing (provider, model_name, effective_date);
    END IF;
END $$;
