"""What `scenes` gives to whoever doesn't look, or looks in a wrong way. A question is a scenes_questions.Question."""

from collections import Counter, defaultdict

from scenes_pictures import Draws
from scenes_questions import nearest


def constant_scores(learnt, asked, key):
    """Gives the answer that is most frequent among the learnt questions with the same key. Both are lists of (scene,
    question). -> for each asked question, whether that is right
    """
    counts, whole = defaultdict(Counter), defaultdict(Counter)
    for scene, question in learnt:
        counts[key(scene, question)][question.answer] += 1
        whole[question.kind][question.answer] += 1

    def guess(one, kind):
        return (counts.get(one) or whole[kind]).most_common(1)[0][0]
    return [question.answer == guess(key(scene, question), question.kind) for scene, question in asked]


def by_type(_, question):
    return question.kind, question.hops


def by_text(_, question):
    return question.text


def by_amount(scene, question):
    """How much there is of the last key's colour, if balls are not told from bars: what a count of pixels sees of them."""
    things = cells_of(scene, "ball", "bar")
    return question.kind, sum(colour == question.last for _, colour, _ in things)


def cells_of(scene, *kinds):
    return [(cell, colour, other) for cell, (kind, colour, other) in scene.things.items() if kind in kinds]


def told_by(scene, question, colour):
    """The answer, if this were the last key or the colour of the cross."""
    if question.kind == "count":
        return str(len(scene.balls.get(colour, [])))
    return str(scene.digit[colour]) if question.kind == "digit" else colour


def most_frequent(colours):
    return Counter(colours).most_common(1)[0][0]


def majority_of_frames(scene, question, _):
    return told_by(scene, question, most_frequent(colour for _, colour, _ in cells_of(scene, "box", "ring")))


def majority_of_cores(scene, question, _):
    return told_by(scene, question, most_frequent(core for *_, core in cells_of(scene, "box", "ring")))


def majority_of_things(scene, question, _):
    return told_by(scene, question, most_frequent(colour for _, colour, _ in scene.things.values()))


def first_key(scene, question, _):
    return told_by(scene, question, question.start)


KINDS = {"chain": "box", "count": "ball", "relation": "cross", "digit": "plate"}


def any_thing(scene, question, draws):
    """Something of the kind that is asked for: what is left to whoever sees well and opens no box."""
    return told_by(scene, question, draws.one_of(cells_of(scene, KINDS[question.kind]))[1])


def nearest_to(scene, question, box):
    cells = {cell: colour for cell, colour, _ in cells_of(scene, KINDS[question.kind])}
    return told_by(scene, question, cells[nearest(scene.box[box], cells)])


def nearest_to_first(scene, question, _):
    return nearest_to(scene, question, question.start)


def nearest_to_last(scene, question, _):
    return nearest_to(scene, question, scene.start_of(question.last, 1))


ANY_THING = "any thing of the kind that is asked for"
SHORTCUTS = {ANY_THING: any_thing,
             "the thing of that kind nearest to the first box": nearest_to_first,
             "the thing of that kind nearest to the last box": nearest_to_last,
             "the first key for the last": first_key,
             "the most frequent colour of frames": majority_of_frames,
             "the most frequent colour of cores": majority_of_cores,
             "the most frequent colour of all things": majority_of_things}


def shortcut_scores(name, asked):
    """Takes a way that is not that of the question. -> for each asked one, whether the answer is right"""
    right = []
    for scene, question in asked:
        answer = SHORTCUTS[name](scene, question, Draws(f"{name} {scene.name} {question.text}"))
        right.append(answer == question.answer)
    return right


def follow_any_frame(scene, question, draws):
    """Follows the keys, but takes round frames for boxes. -> the last key"""
    key = question.start
    for _ in range(question.opened):
        key = draws.one_of([core for _, colour, core in cells_of(scene, "box", "ring") if colour == key])
    return key
