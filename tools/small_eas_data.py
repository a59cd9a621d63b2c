"""Questions of easy-VQA in the files of ScienceQA, which LaVIN reads, and of VQAv2, which METER reads."""

import json
import random
import re
import shutil
from pathlib import Path

COLOURS = ["black", "blue", "brown", "gray", "green", "red", "teal", "yellow"]
SHAPES = ["circle", "rectangle", "triangle"]
SEED = 7


def asked_in(record):
    return record["conversations"][0]["value"].split("\n", 1)[1]


def answer_in(record):
    return record["conversations"][1]["value"].rstrip(".").lower()


def is_true(record):
    """Whether what the question names is in the picture."""
    words = asked_in(record).rstrip("?").split()
    return words[0] == "what" or (answer_in(record) == "yes") != ("not" in words or "no" in words)


def sight_of(records):
    """ "blue circle", if the questions about a picture tell that much; else nothing."""
    true = {word for record in records if is_true(record)
            for word in [*asked_in(record).rstrip("?").split(), answer_in(record)]}
    colours, shapes = true & set(COLOURS), true & set(SHAPES)
    return f"{min(colours)} {min(shapes)}" if colours and shapes else ""


def questions_of(source, split, count):
    """The first `count` questions of a split that ask for a colour or a shape, picture by picture. Those about yes or no
    are left out: models this small and this briefly trained learn what the text tells of them, and no more.

    -> list of (question, answer, what the picture shows, its file)
    """
    pictures = {}
    for record in json.loads((source / f"{split}.json").read_text()):
        pictures.setdefault(record["image"], []).append(record)
    chosen = []
    for image, records in pictures.items():
        if sight := sight_of(records):
            chosen += [(asked_in(record), answer_in(record), sight, source / image)
                       for record in records if answer_in(record) not in ("yes", "no")]
    return chosen[:count]


def choices_of(answer, generator):
    """The answer among others of its kind, in the order of the alphabet."""
    if answer in SHAPES:
        return SHAPES
    return sorted([answer, *generator.sample([one for one in COLOURS if one != answer], 3)])


def write_scienceqa(out, splits):
    """splits: {"train": questions, ..}"""
    generator = random.Random(SEED)
    problems, ids = {}, {"train": [], "val": [], "test": []}
    for split, questions in splits.items():
        for question, answer, sight, picture in questions:
            number = str(len(problems) + 1)
            choices = choices_of(answer, generator)
            problems[number] = {"question": question, "choices": choices, "answer": choices.index(answer), "hint": "",
                                "image": "image.png", "grade": "grade1", "subject": "natural science", "lecture": "",
                                "solution": f"a {sight}, so {answer}.", "split": split}
            ids[split].append(number)
            place = out / "images" / split / number
            place.mkdir(parents=True)
            shutil.copyfile(picture, place / "image.png")
    (out / "problems.json").write_text(json.dumps(problems, indent=1) + "\n")
    (out / "pid_splits.json").write_text(json.dumps(ids) + "\n")


def write_vqav2(out, splits):
    """Ten people who agree answer each question. The pictures are PNG files under the names of COCO's JPEGs."""
    for split, questions in splits.items():
        folder = f"{split}2014"
        (out / folder).mkdir(parents=True)
        asked, annotations = [], []
        for number, (question, answer, _, picture) in enumerate(questions):
            image = int(re.sub(r"\D", "", picture.name))
            one = {"image_id": image, "question_id": number + 1}
            asked.append({**one, "question": question})
            people = [{"answer": answer, "answer_id": i + 1, "answer_confidence": "yes"} for i in range(10)]
            annotations.append({**one, "answers": people, "answer_type": "other",
                                "question_type": question.split(" ")[0], "multiple_choice_answer": answer})
            shutil.copyfile(picture, out / folder / f"COCO_{folder}_{image:012d}.jpg")
        (out / f"v2_OpenEnded_mscoco_{folder}_questions.json").write_text(json.dumps({"questions": asked}) + "\n")
        (out / f"v2_mscoco_{folder}_annotations.json").write_text(json.dumps({"annotations": annotations}) + "\n")


def write_sets(source, out, train, test):
    """OUT/scienceqa and OUT/vqav2, with so many questions. -> the training questions"""
    source = Path(source)
    learnt, asked = questions_of(source, "train", train), questions_of(source, "test", test)
    write_scienceqa(out / "scienceqa", {"train": learnt, "test": asked})
    write_vqav2(out / "vqav2", {"train": learnt, "val": asked})
    return [question for question, *_ in learnt]
