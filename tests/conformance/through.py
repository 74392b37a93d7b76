"""Runs a client behind a gateway of its own: `through.py PROGRAM… URL`, where the URL is the server's.

The client gets the gateway's URL instead. Its exit status is that of the client.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import Processes  # noqa: E402

*program, server = sys.argv[1:]
with tempfile.TemporaryDirectory() as directory, Processes(Path(directory)) as processes:
    gateway = processes.start_archon("--no-tools", upstream=server)
    status = subprocess.run([*program, gateway.url], check=False).returncode
    print(gateway.log(), file=sys.stderr)
sys.exit(status)
