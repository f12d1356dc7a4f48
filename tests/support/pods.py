"""Pods of a user on a real node, of an image that is there; each answers with its name."""

from support import images

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: NAME
          image: IMAGE
          # Without it, these would be the first to stand still while other pods start.
          resources: {requests: {cpu: 200m}}
          command: [python3, -c]
          args:
            - |
              import http.server, json, socket
              class Handler(http.server.BaseHTTPRequestHandler):
                  protocol_version = 'HTTP/1.1'
                  def do_GET(self):
                      self.rfile.read(int(self.headers.get('Content-Length', 0)))
                      said = json.dumps({'pod': socket.gethostname()}).encode()
                      self.send_response(200)
                      self.send_header('Content-Length', str(len(said)))
                      self.end_headers()
                      self.wfile.write(said)
                  do_POST = do_GET
                  def log_message(self, *_): pass
              http.server.ThreadingHTTPServer(('', 8080), Handler).serve_forever()
"""


def deployment(name):
    """Return a Deployment of two pods that answer on 8080, as YAML."""
    return _DEPLOYMENT.replace('NAME', name).replace('IMAGE', images.OPERATOR)
