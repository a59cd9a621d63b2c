#!/usr/bin/env python3
"""`lithe serve` under mixed requests for a long time: does memory stay flat, and does every answer stay what it was?

Three clients ask questions with and without pictures, as streams and whole, under several plans, and misbehave: they leave in the
middle of a stream, send half a body, or nonsense. Greedy answers are compared with the first answer to the same question. The
memory, threads and open files of the server are read every second; in the last quarter they may not be above what they were in
the second. The latency of one kind of request is printed for each quarter. The quarters are of the time, or with --requests of the
number of requests.

    bench/soak.py --seconds 300
    bench/soak.py --requests 10000 --pause 0
    bench/soak.py --seconds 3600 --pause 0 --threads 2
"""
import argparse
import json
import pathlib
import random
import socket
import statistics
import sys
import threading
import time

from lithe_program import ROOT, Server, about

GROWTH_BYTES = 16 << 20  # allocators keep pieces, and where requests overlap is chance
PLANS = [None, "dense", "fastv", "uniform"]
QUESTIONS = ["what is the color of the shape?", "is there a circle?", "what shape is in the image?",
             "does the image not contain a circle?"]
PATH = "/v1/chat/completions"


class Soak:
    def __init__(self, server, pause, seconds, requests):
        self.server, self.pause, self.seconds, self.requests = server, pause, seconds, requests
        self.begin = time.monotonic()
        self.pictures = sorted((ROOT / "models/images").glob("*.png"))
        self.first, self.faults, self.latencies, self.counts = {}, [], [], {}
        self.lock = threading.Lock()

    def asked(self):
        with self.lock:
            return sum(self.counts.values())

    def progress(self):
        """-> how much of the time or of the requests is over, from 0 on; 1 is the end"""
        return self.asked() / self.requests if self.requests else (time.monotonic() - self.begin) / self.seconds

    def quarter(self):
        return min(3, int(4 * self.progress()))

    def client(self, seed):
        draw = random.Random(seed)
        kinds = [self.whole] * 5 + [self.stream] * 5 + [self.several] * 2 + [self.leave] * 2 + [self.half, self.nonsense]
        while self.progress() < 1 and not self.faults:
            kind = draw.choice(kinds)
            try:
                kind(draw)
            except Exception as fault:  # what a client saw is the report
                self.faults.append(f"{kind.__name__}: {fault!r}")
            with self.lock:
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
            time.sleep(draw.random() * 2 * self.pause)

    def question(self, draw):
        """-> its key and its body"""
        picture, text, plan = draw.randrange(12) - 1, draw.choice(QUESTIONS), draw.choice(PLANS)
        body = {"messages": about([self.pictures[picture]] if picture >= 0 else [], text), "temperature": 0,
                "max_tokens": 24, "ignore_eos": True}
        return (picture, text, plan), body | ({"plan": plan} if plan else {})

    def post(self, body, status=200):
        connection, reply = self.server.send(json.dumps(body) if isinstance(body, dict) else body)
        text = reply.read()
        connection.close()
        if reply.status != status:
            raise ValueError(f"status {reply.status} in place of {status}: {text[:200]!r}")
        return json.loads(text)

    def check(self, key, text):
        with self.lock:
            if self.first.setdefault(key, text) != text:
                self.faults.append(f"{key}: {text!r} in place of {self.first[key]!r}")

    def whole(self, draw):
        key, body = self.question(draw)
        begin, quarter = time.perf_counter(), self.quarter()
        reply = self.post(body)
        if key[0] >= 0:
            self.latencies.append((quarter, time.perf_counter() - begin))
        self.check(key, reply["choices"][0]["message"]["content"])

    def several(self, draw):
        _, body = self.question(draw)
        if len(self.post(body | {"n": 3, "temperature": 1, "seed": draw.randrange(99)})["choices"]) != 3:
            raise ValueError("three answers were asked for")

    def stream(self, draw):
        key, body = self.question(draw)
        connection, reply = self.server.send(json.dumps(body | {"stream": True}))
        events = [line[6:] for line in reply if line.startswith(b"data: ")]
        connection.close()
        if events[-1].strip() != b"[DONE]":
            raise ValueError(f"the stream ends with {events[-1]!r}")
        pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
        self.check(key, "".join(pieces))

    def leave(self, draw):
        _, body = self.question(draw)
        connection, reply = self.server.send(json.dumps(body | {"stream": True, "max_tokens": 400}))
        reply.readline()
        reply.close()
        connection.close()

    def half(self, draw):
        with socket.create_connection(("127.0.0.1", self.server.port)) as line:
            line.sendall(f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n{{\"messages\"".encode())
            time.sleep(draw.random() * self.pause)

    def nonsense(self, draw):
        bad = [b"{", b"[]", b'{"messages": 3}', json.dumps({"messages": about([], "a"), "max_tokens": -1}).encode(),
               json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}).encode(),
               json.dumps({"messages": about([], "a"), "plan": "none such"}).encode()]
        self.post(draw.choice(bad), status=400)


def state_of(process):
    """-> bytes in memory, threads, open files"""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) << 10, int(status["Threads"]), len(list(pathlib.Path(f"/proc/{process}/fd").iterdir()))


def report(soak, states):
    """Prints what was seen. -> what is wrong"""
    wrong = list(soak.faults)
    most = [[max(state[i] for quarter, state in states if quarter == q) for i in range(3)] for q in range(4)]
    print("| quarter | most memory | threads | open files | a question about a picture, median |\n|---|---|---|---|---|")
    for q, (memory, threads, files) in enumerate(most):
        times = [seconds for quarter, seconds in soak.latencies if quarter == q]
        print(f"| {q + 1} | {memory / (1 << 20):.0f} MiB | {threads} | {files} | {1e3 * statistics.median(times):.1f} ms |")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(soak.counts.items()))
    print(f"{soak.asked()} requests in {time.monotonic() - soak.begin:.0f} s: {kinds}")
    for i, (name, room) in enumerate((("memory", GROWTH_BYTES), ("threads", 0), ("open files", 8))):
        if most[3][i] > most[1][i] + room:
            wrong.append(f"{name} grew from {most[1][i]} in the second quarter to {most[3][i]} in the last")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lithe", default=ROOT / "build/lithe")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--requests", type=int, help="ask so many, in place of --seconds")
    parser.add_argument("--pause", type=float, default=0.1, help="mean seconds between two requests of a client")
    parser.add_argument("--threads", default="1")
    args = parser.parse_args()
    server = Server(args.model, "--threads", args.threads, "--prefix-cache", "0.02", "--picture-cache", "0.001", lithe=args.lithe)
    soak = Soak(server, args.pause, args.seconds, args.requests)
    clients = [threading.Thread(target=soak.client, args=(seed,)) for seed in range(3)]
    states = []
    try:
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            if soak.progress() < 1:
                states.append((soak.quarter(), state_of(server.process.pid)))
            time.sleep(1)
    finally:
        code = server.stop()
    wrong = [f"the server ended with code {code}"] if code else report(soak, states)
    for sentence in wrong:
        print("soak:", sentence, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
