"""Lithe and PyTorch in turn, for the benchmarks beside this file."""
import os
import statistics


def compare(lithe, pytorch, title, args, load):
    """Steps of Lithe, PyTorch and PyTorch once more (the A/A spread), `args.rounds` times; prints the times of a step.

    lithe, pytorch: their step() gives (ms, cpu_ms). load: of the machine before.
    """
    series = [], [], []
    for number in range(args.rounds):
        for one, runner in zip(series, (lithe, pytorch, pytorch)):
            one.append(runner.step())
        print(f"round {number + 1} of {args.rounds}", end="\r", flush=True)
    print(title)
    for column, name in enumerate(("time", "processor time")):
        a, b, c = ([pair[column] for pair in one] for one in series)
        both = b + c
        print(f"  {name:14} lithe {statistics.median(a):8.0f} ms (min {min(a):8.0f}), pytorch {statistics.median(both):8.0f} ms "
              f"(min {min(both):8.0f}): {statistics.median(both) / statistics.median(a):.2f} x (minima {min(both) / min(a):.2f} x), "
              f"A/A {100 * abs(statistics.median(c) / statistics.median(b) - 1):.1f} %")
    print(f"  {args.threads} threads, load {load:.2f} before and {os.getloadavg()[0]:.2f} after")
