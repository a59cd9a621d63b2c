"""The built program, for the benchmarks beside this file."""
import base64
import http.client
import json
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lithe_json(*arguments):
    """What a command prints with --json or -o json."""
    return json.loads(subprocess.run([str(ROOT / "build/lithe"), *arguments], check=True, capture_output=True, text=True).stdout)


class Server:
    """`lithe serve` on a free port."""

    def __init__(self, *arguments, lithe=ROOT / "build/lithe"):
        self.process = subprocess.Popen([str(lithe), "serve", *arguments, "--port", "0"], text=True,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def send(self, body):
        """-> the connection and the reply, whose body is not read"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def ask(self, messages, plan, tokens):
        """-> seconds to the first piece of text, token ids, cached tokens, seconds to the end"""
        body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
                "return_token_ids": True, "stream_options": {"include_usage": True}}
        if plan:
            body["plan"] = plan
        start, first, ids, cached = time.perf_counter(), None, None, None
        connection, reply = self.send(json.dumps(body))
        assert reply.status == 200, reply.read()
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            assert "error" not in event, event
            for choice in event["choices"]:
                if first is None and "role" not in choice["delta"]:
                    first = time.perf_counter() - start
                ids = choice.get("token_ids", ids)
            if event.get("usage"):
                cached = event["usage"]["prompt_tokens_details"]["cached_tokens"]
        connection.close()
        return first, ids, cached, time.perf_counter() - start

    def stop(self):
        """-> its exit code"""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def about(pictures, question):
    """The messages of a question about pictures, which are files."""
    urls = ["data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]
