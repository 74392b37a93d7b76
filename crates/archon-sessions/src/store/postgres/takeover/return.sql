-- What was put aside comes back: the last first, views before what stands on them.
DO $$
DECLARE
    put_aside RECORD;
BEGIN
    FOR put_aside IN SELECT statement FROM archon_put_aside ORDER BY place DESC LOOP
        EXECUTE put_aside.statement;
    END LOOP;
END $$;
