"""What is in a picture of `scenes`, and what is asked about it.

Every box has a frame and a core. Each colour frames one box, and the cores lead through all boxes in one circle: the core
of the red box is the key to the next. Whatever is asked begins with a key and a number of boxes to open.
"""

from dataclasses import dataclass

from scenes_pictures import COLOURS, GRID, Draws

NAMES = list(COLOURS)
RINGS, DARK_PLATES, PLUSES = 10, 6, 6            # decoys of boxes, plates and crosses
BALL_COLOURS, MOST_BALLS = 6, 5
CHAINS = 3                                       # of a picture; the other types have one question each
MOST_HOPS, MOST_OPENED = 5, 3                    # boxes to open, in a chain and before the others
TYPES = ("chain", "count", "relation", "digit")
ASKS = {"chain": ["Which colour is the last key?"],
        "count": ["How many balls have the colour of the last key?"],
        "relation": [f"Which colour is the cross in the {line} of the last box?" for line in ("row", "column")],
        "digit": ["Which white digit is on the plate in the colour of the last key?"]}


def nearest(cell, others):
    """Of other cells; a step to the side counts as much as one up or down."""
    def distance(other):
        return abs(other // GRID - cell // GRID) + abs(other % GRID - cell % GRID), other
    return min((other for other in others if other != cell), key=distance)


@dataclass
class Question:
    kind: str
    text: str
    answer: str
    opened: int       # boxes
    hops: int         # the boxes; one more for what is not a chain
    needed: list      # the cells that tell the answer, in the order in which they are needed
    needed_hop: list  # for each of them, the hop that needs it, from 1
    start: str        # the first key
    last: str         # the last key


class Scene:
    """A picture, which its name decides: things, the circle of keys, and the questions."""

    def __init__(self, name):
        self.name = name
        self.draws = Draws(name)
        self.circle = self.draws.shuffled(NAMES)
        self.next = dict(zip(self.circle, self.circle[1:] + self.circle[:1]))
        self.things = {}                         # {cell: (kind, colour, core or digit)}
        self.lay_crosses()
        self.free = self.draws.shuffled(cell for cell in range(GRID * GRID) if cell not in self.things)
        self.box = {colour: self.put("box", colour, self.next[colour]) for colour in NAMES}
        self.lay_rings()
        self.lay_plates()
        self.lay_balls()
        for _ in range(PLUSES):
            self.put("plus", self.draws.one_of(NAMES))

    def put(self, kind, colour, other=None):
        cell = self.free.pop()
        self.things[cell] = (kind, colour, other)
        return cell

    def lay_crosses(self):
        """One in each row and in each column."""
        columns = self.draws.shuffled(range(GRID))
        self.in_row = [row * GRID + column for row, column in enumerate(columns)]
        self.in_column = [columns.index(column) * GRID + column for column in range(GRID)]
        for cell in self.in_row:
            self.things[cell] = ("cross", self.draws.one_of(NAMES), None)

    def lay_rings(self):
        """Decoys: round frames. Each colour has one at least, and its core is not that of the box."""
        more = RINGS - len(NAMES)
        for colour in NAMES + self.draws.shuffled(NAMES)[:more]:
            cores = [core for core in NAMES if core not in (colour, self.next[colour])]
            self.put("ring", colour, self.draws.one_of(cores))

    def lay_plates(self):
        self.digit = {colour: self.draws.below(10) for colour in NAMES}
        self.plate = {colour: self.put("plate", colour, self.digit[colour]) for colour in NAMES}
        for colour in self.draws.shuffled(NAMES)[:DARK_PLATES]:
            self.put("dark plate", colour, self.draws.below(10))

    def lay_balls(self):
        """Bars make up a sum that says nothing about the balls, and have as many pixels."""
        self.balls = {}
        for colour in self.draws.shuffled(NAMES)[:BALL_COLOURS]:
            count, total = 1 + self.draws.below(MOST_BALLS), MOST_BALLS + self.draws.below(2)
            self.balls[colour] = [self.put("ball", colour) for _ in range(count)]
            for _ in range(total - count):
                self.put("bar", colour)

    def questions(self):
        draws = self.draws
        hops, starts = draws.shuffled(range(1, MOST_HOPS + 1)), draws.shuffled(NAMES)
        asked = [self.chain(start, opened) for start, opened in zip(starts[:CHAINS], hops)]
        asked.append(self.count(draws.one_of(list(self.balls)), self.draw_opened()))
        asked.append(self.relation(*self.draw_relation(), self.draw_opened()))
        asked.append(self.read_digit(draws.one_of(NAMES), self.draw_opened()))
        return asked

    def draw_opened(self):
        return 1 + self.draws.below(MOST_OPENED)

    def draw_relation(self):
        """The last box and a line through it: the cross in the line is the nearest one no oftener than by chance."""
        both = [(colour, line) for colour in NAMES for line in (0, 1)]
        near = [one for one in both if self.cross_of(*one) == nearest(self.box[one[0]], self.in_row)]
        far = [one for one in both if one not in near]
        return self.draws.one_of(near if near and self.draws.below(GRID) == 0 else far)

    def cross_of(self, box, line):
        cell = self.box[box]
        return self.in_column[cell % GRID] if line else self.in_row[cell // GRID]

    def start_of(self, last, count):
        """The key from which `count` boxes lead to the last key."""
        return self.circle[self.circle.index(last) - count]

    def opened(self, start, count):
        """-> the colours of the boxes, and the last key"""
        colours = [start]
        for _ in range(count):
            colours.append(self.next[colours[-1]])
        return colours[:-1], colours[-1]

    def asked(self, kind, start, count, answer, seen, form=0):
        """`seen`: the cells that are needed when the boxes are open."""
        boxes, last = self.opened(start, count)
        cells = [self.box[colour] for colour in boxes]
        text = f"Start with the {start} key and open {count} box{'' if count == 1 else 'es'}. {ASKS[kind][form]}"
        return Question(kind, text, answer, count, count + (kind != "chain"), cells + seen,
                        [*range(1, count + 1), *[count + 1] * len(seen)], start, last)

    def chain(self, start, count):
        return self.asked("chain", start, count, self.opened(start, count)[1], [])

    def count(self, last, count):
        balls = sorted(self.balls[last])
        return self.asked("count", self.start_of(last, count), count, str(len(balls)), balls)

    def relation(self, box, line, count):
        cross = self.cross_of(box, line)
        start = self.start_of(self.next[box], count)
        return self.asked("relation", start, count, self.things[cross][1], [cross], line)

    def read_digit(self, start, count):
        last = self.opened(start, count)[1]
        return self.asked("digit", start, count, str(self.digit[last]), [self.plate[last]])


PER_PICTURE = CHAINS + len(TYPES) - 1


def scene_of(seed, split, number):
    return Scene(f"scenes/1 {seed} {split} {number}")


def all_texts():
    """Every question that can be asked, and every answer: what a tokenizer must know."""
    for start in NAMES:
        for count in range(1, MOST_HOPS + 1):
            for forms in ASKS.values():
                for ask in forms:
                    yield f"Start with the {start} key and open {count} box{'' if count == 1 else 'es'}. {ask}"
    yield from NAMES
    yield from map(str, range(10))
