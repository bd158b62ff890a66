"""The container's health check: ends with 0 when the server in it can take requests."""

import os
import sys
from http.client import HTTPConnection, HTTPException

try:
    server = HTTPConnection("127.0.0.1", int(os.environ.get("OPENFANG_PORT", "4200")), timeout=4)
    server.request("GET", "/readyz")
    answer = server.getresponse()
    print(answer.read().decode().strip())
    sys.exit(answer.status != 200)
except (OSError, HTTPException) as error:
    sys.exit(f"The server does not answer: {error}")
