"""Byte-level BPE tokenizers, in tokenizer.json's form, to which every word of some texts is one token."""

import re
from collections import Counter

PIECE = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+")


def byte_letters():
    """How byte-level BPE writes each byte, as in GPT-2."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {**{byte: chr(byte) for byte in shown}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def learn_merges(texts):
    """Joins the most frequent neighbours until every word is one token."""
    letters = byte_letters()
    words = Counter(piece for text in texts for piece in PIECE.findall(text))
    split = {word: [letters[byte] for byte in word.encode()] for word in words}
    merges = []
    while True:
        pairs = Counter()
        for word, pieces in split.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in split.values():
            for i in range(len(pieces) - 2, -1, -1):
                if tuple(pieces[i:i + 2]) == best:
                    pieces[i:i + 2] = ["".join(best)]


def tokenizer_of(texts, special, post_processor):
    """`special`: tokens that have the first ids."""
    merges = learn_merges(texts)
    words = [*special, *byte_letters().values(), *dict.fromkeys("".join(pair) for pair in merges)]
    added = [{"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, word in enumerate(special)]
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": bytewise, "post_processor": post_processor, "decoder": bytewise,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                      "vocab": {word: i for i, word in enumerate(words)}, "merges": [" ".join(pair) for pair in merges]}}
