"""What `helm test` runs: serve one answer, and ask the edge for it until it comes back."""

import http.server
import os
import secrets
import sys
import threading
import time
import urllib.request

PORT = int(os.environ.get('PORT', '8080'))
ANSWER = secrets.token_hex(16)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers everything with a random word."""

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.send_header('Content-Length', str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER.encode())


server = http.server.ThreadingHTTPServer(('', PORT), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
edge, host = os.environ['EDGE'], os.environ['HOST']
deadline = time.monotonic() + float(os.environ['SECONDS'])
said = ''
while time.monotonic() < deadline:
    try:
        asked = urllib.request.Request(edge, headers={'Host': host})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            said = answer.read().decode()
    except OSError as error:
        said = str(error)
    if said == ANSWER:
        print(f'{edge} answers for {host}')
        sys.exit(0)
    time.sleep(0.5)
print(f'{edge} does not answer for {host} as it should: {said}')
sys.exit(1)
