"""A local server for files of weights, which breaks off, says nothing, or lies if it is told to."""

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`, as its attributes say; `asked` counts the requests.

    Attributes:
        content: The file.
        status: Answer with this instead.
        drops: For each of the next requests, after how many bytes the connection is closed.
        announced: `Content-Length`, if not the right one; `False` for none.
        meeting: A barrier to wait at after half of the file.
        meetings: How many times to wait there.
        paths: What was asked for.
    """

    daemon_threads = True

    def __init__(self):
        self.content = CONTENT
        self.status = None
        self.drops = []
        self.announced = None
        self.meeting = None
        self.meetings = 1
        self.asked = 0
        self.paths = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/files/weights.h5?raw=1"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked += 1
        server.paths.append(self.path)
        if server.status:
            self.send_error(server.status)
            return
        body = server.content
        self.send_response(200)
        if server.announced is not False:
            self.send_header("Content-Length", str(server.announced or len(body)))
        self.end_headers()
        if server.drops:
            body = body[: server.drops.pop(0)]
        half = len(body) // 2
        try:
            self.wfile.write(body[:half])
            if server.meeting:
                for _ in range(server.meetings):
                    server.meeting.wait(60)
            self.wfile.write(body[half:])
        except ConnectionError:  # the client is gone
            return

    def log_message(self, *args):
        pass


def kept(cache):
    """The names of the files in the cache."""
    return sorted(path.name for path in cache.iterdir())


NAME = f"weights-{SHA256[:16]}.h5"
