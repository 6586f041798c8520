"""An endpoint that keeps a till: how often each request was made, and how often it was answered to the end."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = Callable[[dict[str, Any], int], tuple[int, Any]]
"""From the request's body and how often it came before to a status and a text, a whole message, or an error."""


def echo(body: dict[str, Any], _: int) -> tuple[int, str]:
    return 200, f"You said: {body['messages'][-1]['content']}"


class Till:
    """A server on a loopback port.

    Args:
        answer: what it says.
        seconds: how long it takes.
    """

    def __init__(self, answer: Answer = echo, seconds: float = 0.05) -> None:
        self.asked: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0
        lock, till = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                what = json.dumps(body, sort_keys=True)
                with lock:
                    before = till.asked[what]
                    till.asked[what] += 1
                    till.keys[self.headers.get("Idempotency-Key", "")] += 1
                    till.under_way += 1
                    till.most_under_way = max(till.most_under_way, till.under_way)
                time.sleep(seconds)
                status, said = answer(body, before)
                with lock:
                    till.under_way -= 1
                    till.paid[what] += status == 200
                self._reply(status, said)

            def _reply(self, status: int, said: Any) -> None:
                if status == 200:
                    message = said if isinstance(said, dict) else {"role": "assistant", "content": said}
                    reply = {
                        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
                        "choices": [
                            {"index": 0, "finish_reason": "stop", "message": message}
                        ],
                        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
                    }  # fmt: skip
                else:
                    reply = {"error": {"message": said}}
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a caller that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
