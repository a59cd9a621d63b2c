#!/usr/bin/env python3
"""Time to the first token when `lithe serve` has seen the beginning of a prompt before, on this machine, in one run.

Every round asks about a picture that is new to the server, then another question about it; and it asks eight users' questions
over a system prompt that is new: one, the next, then six at once. The time is that of the client, from the request to the first
piece of text. All answers are compared with those of a server without caches.

    tools/make_random_checkpoint.py wide --layers 2 --tower-layers 4 --p-mod 1
    bench/served_again.py wide
    bench/served_again.py wide --plan dense
"""
import argparse
import concurrent.futures
import statistics

from lithe_program import ROOT, Server, about

QUESTIONS = ["what is the color of the shape in the image?", "is there a circle in the image?"]
RULE = "Rule {} of round {}: answer in one word, and do not speak of what you can not see in the picture. "


def over(system, user):
    return [{"role": "system", "content": system}, {"role": "user", "content": f"I am user {user}. {QUESTIONS[user % 2]}"}]


def one_round(number, picture, ask, plain, report):
    seen = [about([picture], question) for question in QUESTIONS]
    users = [over("".join(RULE.format(i, number) for i in range(report["rules"])), user) for user in range(8)]
    first, second = ask(seen[0]), ask(seen[1])
    one, another = ask(users[0]), ask(users[1])
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        others = list(pool.map(ask, users[2:]))
    for messages, answer in zip(seen + users, [first, second, one, another, *others]):
        report["answers"] += 1
        report["equal"] += plain(messages)[1] == answer[1]
    report["picture"].append((first[0], second[0], second[2]))
    report["system"].append((one[0], another[0], another[2]))
    report["at once"].append((one[0], max(other[0] for other in others), others[0][2]))


def line_of(name, rounds):
    first, again = ([times[i] for times in rounds] for i in range(2))
    share = [b / a for a, b in zip(first, again)]
    return (f"| {name} | {1e3 * statistics.median(first):.0f} ms | {1e3 * statistics.median(again):.0f} ms | "
            f"{100 * statistics.median(share):.1f} % | {100 * max(share):.1f} % | {rounds[0][2]} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--plan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=int, default=30, help="sentences of the system prompt")
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--weights", default="auto")
    args = parser.parse_args()
    pictures = sorted((ROOT / "models/images").glob("*.png"))
    cached, plain = (Server(args.model, "--weights", args.weights, *more)
                     for more in ([], ["--prefix-cache", "off", "--picture-cache", "off"]))
    report = {"picture": [], "system": [], "at once": [], "answers": 0, "equal": 0, "rules": args.rules}
    try:
        for number in range(args.rounds + 1):
            one_round(number, pictures[number], lambda messages: cached.ask(messages, args.plan, args.tokens),
                      lambda messages: plain.ask(messages, args.plan, args.tokens), report)
            print(f"round {number} of {args.rounds}", flush=True)
    finally:
        cached.stop()
        plain.stop()
    print("| prompt | first | again | share, median | share, largest | cached tokens |\n|---|---|---|---|---|---|")
    print(line_of("a second question about a picture", report["picture"][1:]))  # the first round warms up
    print(line_of("a second user over a system prompt", report["system"][1:]))
    print(line_of("the slowest of six more users at once", report["at once"][1:]))
    print(f"{report['equal']} of {report['answers']} answers equal those without caches")


if __name__ == "__main__":
    main()
