"""Two programs in turn, for the benchmarks beside this file."""
import os
import statistics


def times_as_fast(own, base, again):
    """Of times: how often `own` fits into the baseline, which every round runs twice. -> (of medians, of minima)"""
    both = base + again
    return statistics.median(both) / statistics.median(own), min(both) / min(own)


def aa_spread(base, again):
    """How far equal runs are apart, as a share."""
    return abs(statistics.median(again) / statistics.median(base) - 1)


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
        middle, least = times_as_fast(a, b, c)
        print(f"  {name:14} lithe {statistics.median(a):8.0f} ms (min {min(a):8.0f}), pytorch {statistics.median(both):8.0f} ms "
              f"(min {min(both):8.0f}): {middle:.2f} x (minima {least:.2f} x), A/A {100 * aa_spread(b, c):.1f} %")
    print(f"  {args.threads} threads, load {load:.2f} before and {os.getloadavg()[0]:.2f} after")
