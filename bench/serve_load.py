#!/usr/bin/env python3
"""`lithe serve` under load: requests per second, time to the first token and time per further token, for 1 to 32 clients at once,
dense and with a skip plan in one run.

Every client asks one question after the other about the same pictures, whose rows the server holds after the first question;
the questions differ, and nothing of earlier prompts is held (`--prefix-cache off`). Dense and the plan take turns, `--rounds`
times. What is printed are medians of the rounds, and percentiles of all their requests.

    tools/make_random_checkpoint.py wide --layers 2 --tower-layers 2 --p-mod 0.5
    bench/serve_load.py wide
    bench/serve_load.py wide --pictures 1 --clients 1,4 --rounds 3
"""
import argparse
import concurrent.futures
import os
import statistics
import time

from lithe_program import ROOT, Server, about, lithe_json

WORDS = "color shape circle square image left right above below small large first second other".split()


class Point:
    """What one plan did with one number of clients."""

    def __init__(self):
        self.rates, self.first, self.further = [], [], []

    def add(self, answers, seconds, tokens):
        self.rates.append(len(answers) / seconds)
        self.first += [first for first, _, _, _ in answers]
        if tokens > 1:
            self.further += [(end - first) / (tokens - 1) for first, _, _, end in answers]

    def cells(self):
        return [f"{statistics.median(self.rates):.2f}", *(span(times) for times in (self.first, self.further))]


def span(times):
    """The median and the 99th percentile in milliseconds."""
    ordered = sorted(times)
    return f"{1e3 * statistics.median(ordered):.0f}, {1e3 * ordered[-1 - len(ordered) // 100]:.0f} ms" if times else "-"


def question(number):
    return f"question {number}: what is the {' '.join(WORDS[(number * 7 + i * 3) % len(WORDS)] for i in range(12))} here?"


def load(server, plan, clients, args, pictures, first):
    """-> the answers, and the seconds that they took"""
    many = clients * args.each

    def ask(number):
        return server.ask(about(pictures, question(first + number)), plan, args.tokens)

    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(ask, range(many)))
    return answers, time.perf_counter() - begin


def counted_bound(args, plan):
    """How many times as fast the plan can be, by the operations of the decoder for the prompt."""
    flags = ["inspect", args.model, "--json", *(["--plan", plan] if plan else [])]
    tokens = args.pictures * lithe_json(*flags)["cost"]["prompt"]["vision_tokens"]
    cost = lithe_json(*flags, "--vision-tokens", str(tokens))["cost"]
    return cost["dense"]["decoder_flops"] / cost["total"]["decoder_flops"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--plan", help="instead of the model's own")
    parser.add_argument("--clients", default="1,2,4,8,16,32")
    parser.add_argument("--each", type=int, default=2, help="questions of each client in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=5, help="in each question")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--weights", default="auto")
    args = parser.parse_args()
    pictures = sorted((ROOT / "models/images").glob("*.png"))[:args.pictures]
    server = Server(args.model, "--weights", args.weights, "--prefix-cache", "off", "--batch-size", "32")
    print("| clients | plan | requests per second | first token: median, 99 % | further tokens: median, 99 % | beside dense |")
    print("|---|---|---|---|---|---|")
    asked = 0
    try:
        server.ask(about(pictures, question(asked)), "dense", 2)  # the pictures' rows are held from now on
        for clients in map(int, args.clients.split(",")):
            dense, skipping = Point(), Point()
            for _ in range(args.rounds):
                for point, plan in ((dense, "dense"), (skipping, args.plan)):
                    asked += 1
                    answers, seconds = load(server, plan, clients, args, pictures, asked * 1000)
                    point.add(answers, seconds, args.tokens)
            gain = statistics.median(skipping.rates) / statistics.median(dense.rates)
            print(f"| {clients} | dense | {' | '.join(dense.cells())} | |")
            print(f"| | {args.plan or 'own'} | {' | '.join(skipping.cells())} | {gain:.2f} x |", flush=True)
    finally:
        server.stop()
    print(f"counted bound of prompts: {counted_bound(args, args.plan):.2f} x; load now {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
