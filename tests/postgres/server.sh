# A PostgreSQL server for tests, on a socket in a folder of its own. Prints the folder once it is ready, takes the
# words `stop` and `start`, and answers each with a line. When its input ends, because whoever started it is
# gone, however that came, the server and the folder go as well.
set -eu
cd /
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
  bin=$(dirname "$(command -v initdb)") || {
    echo "PostgreSQL is missing: run scripts/install-system --test" >&2
    exit 1
  }
fi
folder=$(mktemp -d /tmp/archon-postgres-XXXXXX)
trap 'rm -rf "$folder"' EXIT
"$bin/initdb" -D "$folder/data" -U archon -A trust --no-sync -E UTF8 --locale=C >"$folder/log" 2>&1 || {
  cat "$folder/log" >&2
  exit 1
}

start() {
  "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=200 \
    >>"$folder/log" 2>&1 </dev/null &
  server=$!
  until "$bin/pg_isready" -q -h "$folder" -d postgres -U archon; do
    kill -0 "$server" 2>/dev/null || {
      cat "$folder/log" >&2
      exit 1
    }
    sleep 0.02
  done
}

# At once, as a crash would: clients are not waited for.
stop() {
  kill -QUIT "$server" 2>/dev/null || true
  wait "$server" || true
}

start
echo "$folder"
while read -r word; do
  case $word in
    stop) stop ;;
    start) start ;;
  esac
  echo "$word"
done
stop
