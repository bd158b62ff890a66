"""The container's health check: ends with 0 when the server in it can take requests.

The arguments are the port and the path of another server than this project's own.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

try:
    port, path = sys.argv[1:] or (os.environ.get("OPENFANG_PORT", "4200"), "/readyz")
    server = HTTPConnection("127.0.0.1", int(port), timeout=4)
    server.request("GET", path)
    answer = server.getresponse()
    print(answer.read().decode().strip())
    sys.exit(answer.status != 200)
except (OSError, HTTPException) as error:
    sys.exit(f"The server does not answer: {error}")
